import type { IncomingHttpHeaders } from 'node:http'
import type { Tasks } from '../../async/tasks.ts'
import type { Catalogue } from '../../engine/catalogue.ts'
import type { Readiness } from '../../engine/kept.ts'
import type { Exchange, StreamedBody } from '../../http/exchange.ts'
import type { CallHistory } from '../../model/call-record.ts'
import type { Caller, InvokeRequest } from '../../model/invocation.ts'
import type { JsonObject } from '../../model/json.ts'
import type { Outcome } from '../../model/outcome.ts'
import type { Payload } from '../../model/payload.ts'
import type { PackageStore } from '../../store/packages/packages.ts'
import type { ProvisionRecord } from '../../store/definition-store.ts'

/** The dialect's name: the key of its part of every record's extras, and the contract of the functions it makes. */
export const DIALECT = 'huawei-functiongraph'

export type { JsonObject }

/** One request after routing, authentication and decoding. */
export interface Call {
  readonly requestId: string
  readonly accountId: string
  /** From the path, as the caller wrote it. */
  readonly projectId: string
  /** The account in the vendor's spelling: 32 lower-case hexadecimal digits. */
  readonly domainId: string
  readonly region: string
  /** Path parameters, percent-decoded, by the names in the operation's pattern. */
  readonly params: Readonly<Record<string, string>>
  /** Decoded query parameters; a repeated name keeps its first value. */
  readonly query: ReadonlyMap<string, string>
  readonly headers: IncomingHttpHeaders
  /** Members are named exactly as documented, unknown ones are ignored. Empty when there was no body, or `null`. */
  readonly body: JsonObject
  /**
   * Decodes the `file`, `file_code` or `depend_file` of a body that was too large to be parsed whole; in `body` it is an
   * empty string then. May be called once.
   */
  readonly takeFile?: () => Promise<readonly Buffer[]>
  /** `http://host:port` as the client reached us, for addresses in answers. */
  readonly origin: string
  readonly exchange: Exchange
}

export interface Answer {
  readonly status: number
  /** Serialised as JSON; `undefined` members are left out. Absent, like `raw`: an empty body. */
  readonly body?: JsonObject | readonly unknown[]
  readonly headers?: Readonly<Record<string, string>>
  /** A body that is no JSON; wins over `body`. */
  readonly raw?: { readonly contentType: string; readonly body: Payload | StreamedBody }
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
  readonly region: string
  readonly now: () => number
  /** Throws `caller/runtime-missing` for a runtime whose interpreter this host lacks. */
  readonly requireRuntime: (runtime: string) => void
  /** Links that download a package without a signature until they expire. */
  readonly links: { link(origin: string, digest: string): string }
}

/** One operation. Throws {@link import('./errors.ts').FssError} or an EngineError to refuse. */
export type Operation = (call: Call, rooms: Rooms) => Promise<Answer> | Answer
