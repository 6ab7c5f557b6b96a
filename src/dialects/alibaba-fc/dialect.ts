import type { KeyRing } from '../../auth/keyring.ts'
import type { Catalogue } from '../../engine/catalogue.ts'
import type { Readiness } from '../../engine/kept.ts'
import type { CodeLinks } from '../../intake/code-link.ts'
import { Turns } from '../../intake/slices.ts'
import type { Caller, InvokeRequest } from '../../model/invocation.ts'
import type { Outcome } from '../../model/outcome.ts'
import type { PackageStore } from '../../store/packages/packages.ts'
import type { ProvisionRecord } from '../../store/definition-store.ts'
import type { Dialect } from '../dialect.ts'
import { hasOwnScheme } from './auth.ts'
import { dispatch, type DispatchRooms } from './dispatch.ts'
import { KeyedTurns } from './keyed-turns.ts'
import { failureReply } from './replies.ts'
import { requestIdOf } from './request-head.ts'
import { isDialectPath } from './routes.ts'

export interface AlibabaFcDeps {
  readonly catalogue: Catalogue
  readonly packages: PackageStore
  readonly keyring: KeyRing
  readonly engine: { invoke(request: InvokeRequest, caller: Caller): Promise<Outcome> }
  /** Takes asynchronous calls, and knows what became of them. */
  readonly tasks: DispatchRooms['tasks']
  /** How many of the instances that a record asks for are ready now. */
  readonly keptOf: (record: ProvisionRecord) => Readiness
  /** Throws `caller/runtime-missing` for a runtime whose interpreter this host lacks. */
  readonly requireRuntime: (runtime: string) => void
  /** Region name shown in ARNs and account settings. */
  readonly region: string
  /** Epoch milliseconds. */
  readonly now: () => number
  /** Links for the download of code, which this dialect answers, too. */
  readonly links: CodeLinks
  /** The listener's port, once it has one: for links given to clients that name no port. Default: unknown. */
  readonly ownPort?: () => number | undefined
  /** Told of failures that are this server's own. Must not throw. */
  readonly observe?: (error: unknown) => void
}

/** The dialect of the vendor's FC 2.0: the APIs 2016-08-15 and 2021-04-06, told apart from others by their paths. */
export function createAlibabaFc(deps: AlibabaFcDeps): Dialect {
  const { observe = () => undefined, ownPort = () => undefined } = deps
  const rooms: DispatchRooms = {
    ...deps,
    observe,
    ownPort,
    largeBodies: new Turns(),
    traces: new KeyedTurns(),
  }
  return {
    name: 'alibaba-fc',
    claims: ({ rawPath, headers }) =>
      hasOwnScheme(headers.authorization) ? 'scheme' : isDialectPath(rawPath) ? 'path' : undefined,
    handle: (exchange) => dispatch(exchange, rooms),
    refuse: (refusal, headers) => failureReply(refusal, requestIdOf(headers)),
  }
}
