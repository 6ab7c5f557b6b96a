/** Where a zygote sees what its children may need, hidden from them; see `../../runtimes/protocol.md`, "Zygotes". */
export const HIDDEN = '/anvoke/zygote'

/** The first thing that a zygote is told. */
export interface ZygoteConfig {
  /** The first descriptor of the first set. */
  readonly firstFd: number
  /** Instructions of the filter of system calls, base64; null: none. */
  readonly filter: string | null
  readonly ownUserNamespace: boolean
  readonly hostName: string
  readonly hidden: string
  readonly sharedMemoryBytes: number
  /** How long an order may take until the processes of its child are known, milliseconds: one that takes longer is refused. */
  readonly birthTimeoutMs: number
}

/** What a zygote is asked for: one isolated process. */
export interface ForkOrder {
  readonly uid: number
  /** Files of the cgroups that it enters. */
  readonly entries: readonly string[]
  /** Source, in the zygote's view, and target of what is shown to it beside what the zygote sees. */
  readonly mounts: readonly (readonly [string, string])[]
  readonly ownNetwork: boolean
  readonly tmpBytes: number
  readonly limits: {
    readonly fileBytes: number
    readonly openFiles: number
    readonly pendingSignals: number
    readonly queueBytes: number
    readonly tasks: number | null
  }
  readonly workDir: string
}

/** The processes of a child, as zygote and host number them. The starts are in clock ticks after boot, read before anything could have taken a number over. */
export interface ForkPids {
  /** The first process of the namespaces, which does nothing; with it, all of them end. */
  readonly first: number
  readonly firstStart: number
  /** What becomes the function's; no child of that one. */
  readonly function: number
  readonly functionStart: number
}

/** What a zygote tells. */
export type ZygoteMessage =
  | { readonly kind: 'ready' }
  | ({ readonly kind: 'born'; readonly set: number } & ForkPids)
  | { readonly kind: 'refused'; readonly set: number; readonly reason: string }
  /** The exit code of the function's process; negative: the signal that ended it. Nothing of the child runs. */
  | { readonly kind: 'ended'; readonly set: number; readonly exitCode: number }

export function encodeConfig(config: ZygoteConfig): string {
  return `${JSON.stringify(config)}\n`
}

/** @param set Which descriptors the child gets; each set once. The zygote reads no more than this. */
export function encodeOrder(set: number, order: ForkOrder): string {
  return `${set} ${JSON.stringify(order)}\n`
}

/** @param set Whose order will not come: the zygote keeps nothing for it. */
export function encodeWithdrawal(set: number): string {
  return `${set} null\n`
}

/** Longest line that a zygote may send. */
const MOST_LINE_LENGTH = 16_384

/** Cuts what arrives into messages. */
export class MessageReader {
  #rest = ''

  /** @throws When it is not what a zygote says. */
  read(chunk: Buffer): ZygoteMessage[] {
    const lines = (this.#rest + chunk.toString('utf8')).split('\n')
    this.#rest = lines.pop() ?? ''
    if (this.#rest.length > MOST_LINE_LENGTH) throw new Error('the zygote sends a line without end')
    return lines.map((line) => messageOf(JSON.parse(line)))
  }
}

function messageOf(value: unknown): ZygoteMessage {
  if (typeof value === 'object' && value !== null) {
    if ('ready' in value) return { kind: 'ready' }
    if ('set' in value && typeof value.set === 'number') {
      const { set } = value
      const pids = pidsOf(value)
      if (pids !== undefined) return { kind: 'born', set, ...pids }
      if ('refused' in value && typeof value.refused === 'string')
        return { kind: 'refused', set, reason: value.refused }
      if ('ended' in value && typeof value.ended === 'number')
        return { kind: 'ended', set, exitCode: value.ended }
    }
  }
  throw new Error('the zygote sends something else than a message')
}

function pidsOf(value: object): ForkPids | undefined {
  if (!('first' in value && 'firstStart' in value && 'function' in value && 'functionStart' in value))
    return undefined
  const { first, firstStart, function: own, functionStart } = value
  if (typeof first !== 'number' || typeof firstStart !== 'number') return undefined
  if (typeof own !== 'number' || typeof functionStart !== 'number') return undefined
  return { first, firstStart, function: own, functionStart }
}
