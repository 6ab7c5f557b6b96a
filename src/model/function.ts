/** An uploaded code package, addressed by its content. */
export interface CodePackage {
  /** SHA-256 of the uploaded archive's bytes, lower-case hex. */
  readonly digest: string
  /** CRC-64/XZ of the same bytes, unsigned decimal. */
  readonly crc64: string
  /** Bytes of the uploaded archive. */
  readonly sizeBytes: number
  /** Bytes of the unpacked files. */
  readonly expandedBytes: number
}

/** The version name of the one mutable state of a function. */
export const LATEST = 'LATEST'

/** What decides how a function runs. Everything a dialect stores beyond it goes into its record's `extras`. */
export interface FunctionSpec {
  /** The handler contract the code was written for; a key of the contract registry. */
  readonly contract: string
  /** Runtime name as the user wrote it; `sandbox/runtimes` maps it to an interpreter of the host. */
  readonly runtime: string
  readonly handler: string
  /** Runs once per instance before its first call. `timeoutMs` 1 … 300 000. */
  readonly initializer?: { readonly handler: string; readonly timeoutMs: number }
  /** Longest run of one call, milliseconds, 1 … 259 200 000. Enforced from outside the process. */
  readonly timeoutMs: number
  /** Memory of one instance, MiB. */
  readonly memoryMib: number
  /** Writable space under `/tmp`, MiB. */
  readonly diskMib: number
  /** Calls that may run in one instance at the same time, 1 … 200. */
  readonly instanceConcurrency: number
  readonly environment: Readonly<Record<string, string>>
  readonly code: CodePackage
  /**
   * Further packages that are seen beside the code, merged into one tree in this order: of two files of the same path the later
   * package's is seen. Default: none.
   */
  readonly layers?: readonly CodePackage[]
  /** `none`: it reaches nothing but itself. Default: what the server's setting gives to functions, never more. */
  readonly network?: 'none'
}

/** @returns The specification with this network: undefined for what the server's setting gives. */
export function withNetwork(spec: FunctionSpec, network: FunctionSpec['network']): FunctionSpec {
  const { network: _, ...others } = spec
  return network === undefined ? others : { ...others, network }
}

/** The digests of the packages that are seen beside the code, in their order. */
export function layerDigests({ layers = [] }: Pick<FunctionSpec, 'layers'>): readonly string[] {
  return layers.map(({ digest }) => digest)
}

/** Names a function in the neutral name space `account / namespace / name : version`. */
export interface FunctionName {
  readonly account: string
  readonly namespace: string
  readonly name: string
}

/**
 * One immutable state of a function: what an instance is started from.
 *
 * A change of code or configuration makes a new one with another `id`; calls in flight keep theirs.
 */
export interface FunctionVersion extends FunctionName, FunctionSpec {
  /** Unique for this state, never used again. Instances are pooled by it. */
  readonly id: string
  /** Stays the same over all states and versions of the function. */
  readonly functionId: string
  /** {@link LATEST} or the published version's number as text. */
  readonly version: string
  /** Facts about the function's surroundings that its contract shows to code, such as a log destination or a role. */
  readonly facts: Readonly<Record<string, string>>
}
