import type { IncomingHttpHeaders } from 'node:http'
import type { Tasks } from '../../async/tasks.ts'
import type { Catalogue } from '../../engine/catalogue.ts'
import type { Readiness } from '../../engine/kept.ts'
import type { CodeLinks } from '../../intake/code-link.ts'
import type { JsonObject } from '../../model/json.ts'
import type { PackageStore } from '../../store/packages/packages.ts'
import type { ProvisionRecord } from '../../store/definition-store.ts'

/** The two generations this dialect speaks; they differ in few fields and in where the qualifier travels. */
export type ApiVersion = '2016-08-15' | '2021-04-06'

export type { JsonObject } from '../../model/json.ts'

/** One control-plane request after routing, authentication and decoding. */
export interface Call {
  readonly api: ApiVersion
  readonly requestId: string
  readonly accountId: string
  /** Path parameters, percent-decoded, by the names in the operation's pattern. `service` comes without its qualifier. */
  readonly params: Readonly<Record<string, string>>
  /** From the service segment (`demo.prod`, `demo.` means LATEST) or the query. Absent means LATEST. */
  readonly qualifier?: string
  /** Decoded query parameters; a repeated name keeps its first value. */
  readonly query: ReadonlyMap<string, string>
  readonly headers: IncomingHttpHeaders
  /**
   * Empty when the request had no body. The service reads it so: member names match in any case, at every depth that has
   * named members, and unknown ones are ignored. `undefined` and `null` both mean "not given".
   */
  readonly body: JsonObject
  /**
   * Decodes the `code.zipFile` of a body that was too large to be parsed whole; in `body` it is an empty string then.
   * May be called once.
   */
  readonly takeZipFile?: () => Promise<readonly Buffer[]>
  /** `http://host:port` as the client reached us, for addresses in answers. */
  readonly origin: string
}

export interface Answer {
  readonly status: number
  /** Serialised as JSON; `undefined` members are left out. Absent: an empty body. */
  readonly body?: Readonly<Record<string, unknown>>
  readonly headers?: Readonly<Record<string, string>>
}

/** What an operation may use. */
export interface Rooms {
  readonly catalogue: Catalogue
  readonly packages: PackageStore
  readonly tasks: Pick<Tasks, 'find' | 'detailsOf' | 'list' | 'terminate'>
  /** How many of the instances that a record asks for are ready now. */
  readonly keptOf: (record: ProvisionRecord) => Readiness
  readonly region: string
  readonly now: () => number
  /** Throws `caller/runtime-missing` for a runtime whose interpreter this host lacks. */
  readonly requireRuntime: (runtime: string) => void
  /** Links that download a package without a signature until they expire. */
  readonly links: Pick<CodeLinks, 'link'>
}

/** One control-plane operation. Throws {@link import('./errors.ts').FcError} or an EngineError to refuse. */
export type Operation = (call: Call, rooms: Rooms) => Promise<Answer> | Answer
