import type { CodePackage, FunctionSpec } from '../model/function.ts'

/**
 * What dialects keep with a record beyond its neutral members: stored and echoed, never read below the dialects. Each dialect
 * has its own part, under its name. JSON-serialisable.
 */
export type Extras = Readonly<Record<string, unknown>>

interface Stamped {
  readonly createdAtMs: number
  readonly modifiedAtMs: number
}

/** A container of functions. Some APIs version it as a whole. */
export interface NamespaceRecord extends Stamped {
  readonly account: string
  readonly name: string
  /** Unique, never used again, even for a namespace of the same name. */
  readonly namespaceId: string
  readonly description: string
  readonly facts: Readonly<Record<string, string>>
  /** Highest version number ever published here: numbers are not used again after a deletion. */
  readonly lastVersion: number
  readonly extras: Extras
}

/** A function at one version: `LATEST` is the mutable one, a number a snapshot that nobody changes. */
export interface FunctionRecord extends Stamped {
  readonly account: string
  readonly namespace: string
  readonly name: string
  readonly version: string
  readonly functionId: string
  /** Names this state among all states of all functions; becomes `FunctionVersion.id`. */
  readonly stateId: string
  readonly description: string
  readonly spec: FunctionSpec
  readonly facts: Readonly<Record<string, string>>
  /** On `LATEST`: the highest number ever given to a version of this function alone. Default 0: none was published. */
  readonly lastVersion?: number
  readonly extras: Extras
}

/** A published version of a namespace, or of one function when `functionName` is given. */
export interface VersionRecord extends Stamped {
  readonly account: string
  readonly namespace: string
  readonly functionName?: string
  readonly version: string
  readonly description: string
  /** The namespace as it was when the version was published; absent for a version of one function. */
  readonly snapshot?: NamespaceRecord
}

/** A name for a version, with an optional share of calls for other versions. */
export interface AliasRecord extends Stamped {
  readonly account: string
  readonly namespace: string
  readonly functionName?: string
  readonly name: string
  readonly version: string
  /** Version → share of calls, 0 … 1; the rest goes to `version`. */
  readonly weights: Readonly<Record<string, number>>
  readonly description: string
  readonly extras: Extras
}

/** How asynchronous calls through one qualifier are treated. Absent members mean the contract's default. */
export interface AsyncConfigRecord extends Stamped {
  readonly account: string
  readonly namespace: string
  readonly functionName: string
  readonly qualifier: string
  /** Repeats after a failed run, 0 … 8. */
  readonly maxRetries?: number
  /** Age at which a waiting call is given up, milliseconds since it was accepted. */
  readonly maxAgeMs?: number
  readonly extras: Extras
}

/** The cap of on-demand instances through one qualifier. */
export interface ScalingRecord extends Stamped {
  readonly account: string
  readonly namespace: string
  readonly functionName: string
  readonly qualifier: string
  readonly maxInstances: number
}

/** Instances to keep ready through one qualifier. */
export interface ProvisionRecord extends Stamped {
  readonly account: string
  readonly namespace: string
  readonly functionName: string
  readonly qualifier: string
  readonly target: number
  readonly extras: Extras
}

/** Tags of one resource, addressed by the neutral key of its record. */
export interface TagsRecord extends Stamped {
  readonly account: string
  /** `namespace` or `namespace/function`. */
  readonly resource: string
  readonly tags: Readonly<Record<string, string>>
}

/** Something that is to call a function by itself. */
export interface TriggerRecord extends Stamped {
  readonly account: string
  readonly namespace: string
  readonly functionName: string
  /** The version or alias it calls. */
  readonly qualifier: string
  /** Unique per function and type. */
  readonly name: string
  /** The vendor's word for its kind, in lower case. */
  readonly type: string
  readonly enabled: boolean
  readonly extras: Extras
}

/** A version of a package that functions may have beside their code. It never changes. */
export interface LayerRecord extends Stamped {
  readonly account: string
  readonly name: string
  /** Counts from 1; a number is not used again. */
  readonly version: number
  readonly description: string
  readonly code: CodePackage
  readonly extras: Extras
}

/** Anything else that a dialect keeps under a name of its own; it goes with its owner. */
export interface DocumentRecord extends Stamped {
  readonly account: string
  /** `namespace/function`, `namespace`, or empty: the account. */
  readonly owner: string
  readonly name: string
  readonly content: Extras
}

/** Every kind of definition there is, by its name in the store. */
export interface RecordKinds {
  namespace: NamespaceRecord
  function: FunctionRecord
  version: VersionRecord
  alias: AliasRecord
  asyncConfig: AsyncConfigRecord
  scaling: ScalingRecord
  provision: ProvisionRecord
  tags: TagsRecord
  trigger: TriggerRecord
  layer: LayerRecord
  document: DocumentRecord
}

export type RecordKind = keyof RecordKinds

/** A record with its key and revision. Keys are built by `engine/keys.ts`; the store takes them as they are. */
export interface Stored<K extends RecordKind = RecordKind> {
  readonly kind: K
  readonly key: string
  /** Counts the changes of this key from 1; begins anew when the record is made again after a deletion. */
  readonly revision: number
  readonly value: RecordKinds[K]
}

/** `value` absent: the record is deleted. `expectedRevision` 0: it must not exist yet. */
export interface Change<K extends RecordKind = RecordKind> {
  readonly kind: K
  readonly key: string
  readonly expectedRevision: number
  readonly value?: RecordKinds[K]
}

/** Definitions: few, small, read from memory by everyone, written durably. */
export interface DefinitionStore {
  /** All records, at start. */
  load(): Promise<readonly Stored[]>
  /**
   * Applies all changes or none; resolves once they are durable.
   *
   * @throws {RevisionConflict} a record is not at its expected revision; nothing was changed.
   * @throws {EngineError} `platform/store-failed`
   */
  commit(changes: readonly Change[]): Promise<void>
}

/** Someone else changed the record first. */
export class RevisionConflict extends Error {
  override readonly name = 'RevisionConflict'
  readonly key: string

  constructor(key: string) {
    super(`${key} was changed in the meantime`)
    this.key = key
  }
}
