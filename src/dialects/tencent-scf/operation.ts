import type { Tasks } from '../../async/tasks.ts'
import type { Catalogue } from '../../engine/catalogue.ts'
import type { Readiness } from '../../engine/kept.ts'
import type { Exchange } from '../../http/exchange.ts'
import type { CallHistory } from '../../model/call-record.ts'
import type { JsonObject } from '../../model/json.ts'
import type { Caller, InvokeRequest } from '../../model/invocation.ts'
import type { Outcome } from '../../model/outcome.ts'
import type { PackageStore } from '../../store/packages/packages.ts'
import type { ProvisionRecord } from '../../store/definition-store.ts'

/** The name under which this dialect keeps its own part of records. */
export const DIALECT = 'tencent-scf'

/** The namespace of requests that name none. */
export const DEFAULT_NAMESPACE = 'default'

/** `2.0` is the legacy API under `/v2/index.php`, `3.0` the one of version 2018-04-16 under `/`. */
export type Api = '2.0' | '3.0'

/** Named values as they were sent. `undefined` and `null` both mean "not given". */
export type { JsonObject }

/** One request after authentication and decoding. */
export interface Call {
  readonly api: Api
  /** As the tables of `operations.ts` spell it. */
  readonly action: string
  readonly requestId: string
  readonly accountId: string
  /** Name of the region the request is for, such as `ap-guangzhou`; this server's own when it names none. */
  readonly region: string
  /**
   * The action's own parameters, without the common ones. Those of forms and queries are texts, un-flattened to
   * objects and arrays; those of JSON bodies are as sent. Read them with `fields.ts`, which takes both.
   */
  readonly params: JsonObject
  /**
   * The zip archive of a request that was too large to be parsed whole, or that came as a file; the parameter is an
   * empty string then. May be called once.
   *
   * @throws {ScfError} `InvalidParameterValue.ZipFileBase64BinasciiError`
   */
  readonly takeZipFile?: (() => Promise<readonly Buffer[]>) | undefined
  /** `http://host:port` as the client reached us, for addresses in answers. */
  readonly origin: string
  readonly exchange: Exchange
}

/** What an operation may use. */
export interface Rooms {
  readonly catalogue: Catalogue
  readonly packages: PackageStore
  readonly engine: { invoke(request: InvokeRequest, caller: Caller): Promise<Outcome> }
  readonly tasks: Pick<Tasks, 'submit' | 'find' | 'details' | 'list' | 'terminate' | 'nowMs'>
  readonly history: CallHistory
  /** How many of the instances that a record asks for are ready now. */
  readonly keptOf: (record: ProvisionRecord) => Readiness
  /** Throws `caller/runtime-missing` for a runtime whose interpreter this host lacks. */
  readonly requireRuntime: (runtime: string) => void
  /** Region of requests that name none. */
  readonly region: string
  /** Epoch milliseconds. */
  readonly now: () => number
  /** Makes links that download a package without a signature until they expire. */
  readonly links: { link(origin: string, digest: string): string }
}

/** Members of a legacy answer that stand beside `code` and not in `data`. */
export class TopLevel {
  readonly members: JsonObject

  constructor(members: JsonObject) {
    this.members = members
  }
}

/** For the one legacy action whose answer has no `data` object: GetFunctionLogs. */
export function topLevel(members: JsonObject): TopLevel {
  return new TopLevel(members)
}

/**
 * One action of one API. Answers with the members of `Response` beside `RequestId` (3.0), or of `data` (2.0; none for an
 * empty object). Throws {@link import('./errors.ts').ScfError}, an EngineError or a PackageError to refuse.
 */
export type Operation = (call: Call, rooms: Rooms) => Promise<JsonObject | TopLevel> | JsonObject | TopLevel
