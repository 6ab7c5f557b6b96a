import type { KeyRing } from '../../auth/keyring.ts'
import { Turns } from '../../intake/slices.ts'
import { newRequestId } from '../../model/request-id.ts'
import type { Claim, Dialect, RequestHead } from '../dialect.ts'
import { dispatch, isLegacyPath, type DispatchRooms } from './dispatch.ts'
import { DIALECT, type Rooms } from './operation.ts'
import { Replays } from './replays.ts'
import { refusalReply, traceOf } from './replies.ts'
import { hasTc3Scheme } from './signatures/tc3.ts'

export interface TencentScfDeps extends Rooms {
  readonly keyring: KeyRing
  /** The listener's port, once it has one. Default: unknown. */
  readonly ownPort?: () => number | undefined
  /** Told of failures that are this server's own. Must not throw. */
  readonly observe?: (error: unknown) => void
}

/** The dialect of the vendor's SCF: the legacy API 2.0 and API 3.0, version 2018-04-16. */
export function createTencentScf(deps: TencentScfDeps): Dialect {
  const { observe = () => undefined, ownPort = () => undefined } = deps
  const rooms: DispatchRooms = {
    ...deps,
    observe,
    ownPort,
    largeBodies: new Turns(),
    replays: new Replays(),
  }
  return {
    name: DIALECT,
    claims,
    handle: (exchange) => dispatch(exchange, rooms),
    refuse: (refusal, headers) => refusalReply(refusal, traceOf(newRequestId(), headers)),
  }
}

/** An `Action` in the query counts on the dialect's own paths only: elsewhere it is some other API's parameter. */
function claims({ method, rawPath, rawQuery, headers }: RequestHead): Claim | undefined {
  if (hasTc3Scheme(headers.authorization)) return 'scheme'
  if (headers['x-tc-action'] !== undefined) return 'action'
  const isLegacy = isLegacyPath(rawPath)
  if (!isLegacy && rawPath !== '/') return undefined
  if (/(?:^|&)Action=/.test(rawQuery)) return 'action'
  return isLegacy || method === 'POST' ? 'path' : undefined
}
