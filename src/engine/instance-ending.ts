import type { Caller } from '../model/invocation.ts'
import type { Ending } from '../model/outcome.ts'
import type { MemoryUsage, SandboxExit } from '../sandbox/sandbox.ts'
import type { Call } from './call.ts'
import { TIMER_SLACK_MS } from './deadline.ts'
import type { InstanceLog } from './instance-log.ts'
import { withLimit } from './time-limit.ts'

/** The memory of a process about to be ended is waited for no longer than this. */
const MEMORY_READ_MS = 500

/** Every ending of an instance has one of these names; `README.md` says what each means for its calls. */
export type InstanceEnding =
  | { readonly kind: 'evicted' | 'retired' | 'killed' | 'timed-out' }
  /** On request, because of the call of this caller. */
  | { readonly kind: 'terminated'; readonly caller: Caller }
  | { readonly kind: 'start-failed'; readonly reason: string }
  | { readonly kind: 'init-failed'; readonly failure: Extract<Ending, { kind: 'initFailed' }> }
  | { readonly kind: 'crashed'; readonly exit: SandboxExit }
  | { readonly kind: 'broken'; readonly reason: string }

/** What is known of an instance when it ends. */
interface Ended {
  readonly id: string
  /** Peak memory last told by the process, bytes. */
  readonly lastMemoryBytes: number
  /** Monotonic milliseconds of the ending. */
  readonly atMs: number
  /** Of the process, which is not to be ended before this is read. */
  readonly memory: () => Promise<MemoryUsage>
  readonly log: InstanceLog
}

/** Tells the calls that had begun what became of them; `README.md`, Endings. */
export async function settleBegun(
  begun: readonly Call[],
  ending: InstanceEnding,
  { id: instanceId, lastMemoryBytes, atMs, memory, log }: Ended,
): Promise<void> {
  if (begun.length === 0) return
  let peakBytes = 0
  const read = memory().then(
    (usage) => (peakBytes = usage.peakBytes),
    () => undefined,
  )
  await withLimit(read, MEMORY_READ_MS)
  for (const call of begun) {
    const maxMemoryBytes = Math.max(peakBytes, lastMemoryBytes, call.sampledBytes)
    // One behind the running calls began just now: the answer before it was still on its way.
    const durationMs = call.runningSinceMs === 0 ? 0 : atMs - call.runningSinceMs
    log.begin(call)
    call.settle(endingOf(call, ending, durationMs), { instanceId, durationMs, maxMemoryBytes })
  }
}

function endingOf(call: Call, ending: InstanceEnding, durationMs: number): Ending {
  const { timeoutMs } = call.version
  if (ending.kind === 'timed-out' && durationMs >= timeoutMs - TIMER_SLACK_MS)
    return { kind: 'timedOut', afterMs: timeoutMs }
  if (ending.kind === 'terminated' && ending.caller === call.caller) return { kind: 'terminated' }
  return crashOf(ending)
}

/** What a call is told of an ending that was not its own. */
function crashOf(ending: InstanceEnding): Ending {
  if (ending.kind === 'broken') return { kind: 'crashed', cause: 'exited' }
  if (ending.kind !== 'crashed') return { kind: 'crashed', cause: 'signalled', signal: 'SIGKILL' }
  switch (ending.exit.kind) {
    case 'exited':
      return { kind: 'crashed', cause: 'exited', exitCode: ending.exit.exitCode }
    case 'signalled':
      return { kind: 'crashed', cause: 'signalled', signal: ending.exit.signal }
    case 'outOfMemory':
      return { kind: 'crashed', cause: 'outOfMemory' }
    case 'notStarted':
      return { kind: 'crashed', cause: 'exited' }
  }
}

/** How a process ended, for the operator. */
export function exitSentence(exit: SandboxExit): string {
  switch (exit.kind) {
    case 'exited':
      return `it exited with status ${exit.exitCode}`
    case 'signalled':
      return `it was ended by ${exit.signal}`
    case 'outOfMemory':
      return 'it ran out of memory'
    case 'notStarted':
      return exit.reason
  }
}
