import type { FunctionShare } from '../task-queue.ts'
import type { FunctionQueue, Head } from './function-queue.ts'
import type { FunctionQueues } from './function-queues.ts'

/** A function with a task that may run now. */
export interface Candidate {
  readonly queue: FunctionQueue
  readonly head: Head
}

/**
 * Deals places out to functions: each to the one that runs the fewest tasks, of those to the one whose task has been due longest.
 * What it costs depends on the number of functions with tasks.
 */
export class FairLine {
  readonly #queues: FunctionQueues
  readonly #nowMs: number
  readonly #share: FunctionShare | undefined
  /** Best last. */
  readonly #candidates: Candidate[]
  #places: number
  #firstPlaces: number
  #wasFirstPlace = false

  constructor(queues: FunctionQueues, places: number, nowMs: number, share: FunctionShare | undefined) {
    this.#queues = queues
    this.#places = places
    this.#firstPlaces = share?.firstRuns ?? 0
    this.#nowMs = nowMs
    this.#share = share
    this.#candidates = [...queues.live]
      .flatMap((queue) => this.#candidate(queue) ?? [])
      .sort((a, b) => -compare(a, b))
  }

  /** The function that gets the next place, and the task for it. Undefined when there is no place, or nobody for it. */
  next(): Candidate | undefined {
    const best = this.#candidates.at(-1)
    if (best === undefined) return undefined
    this.#wasFirstPlace = this.#places === 0
    if (this.#places > 0) this.#places -= 1
    else if (this.#firstPlaces > 0 && best.queue.counts.running === 0) this.#firstPlaces -= 1
    else return undefined
    this.#candidates.pop()
    return best
  }

  /** The last place was not needed. */
  giveBack(): void {
    if (this.#wasFirstPlace) this.#firstPlaces += 1
    else this.#places += 1
  }

  /** Puts a function whose task was taken back into the line, if it may have another place. */
  again(queue: FunctionQueue): void {
    const candidate = this.#candidate(queue)
    if (candidate === undefined) return
    let low = 0
    let high = this.#candidates.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const other = this.#candidates[middle]
      if (other !== undefined && compare(other, candidate) > 0) low = middle + 1
      else high = middle
    }
    this.#candidates.splice(low, 0, candidate)
  }

  #candidate(queue: FunctionQueue): Candidate | undefined {
    if (queue.control.isPaused) {
      const stopped = this.#queues.lateStoppedOf(queue, this.#nowMs)
      return stopped === null ? undefined : { queue, head: stopped }
    }
    const head = hasRoom(queue, this.#share)
      ? this.#queues.headOf(queue)
      : // It has its place: taking it over needs none.
        this.#queues.lateLeaseOf(queue, this.#nowMs)
    return head === null || head.dueAtMs > this.#nowMs ? undefined : { queue, head }
  }
}

/**
 * When the first task is due of a function that is not paused and has room. Of one that has none: when the first lease ends, as taking
 * its task over needs none; but not where only idle functions are asked for. Of one that is paused: when the first lease ends of a task
 * whose stop was requested, as it is not run again.
 */
export function nextDueMs(queues: FunctionQueues, share: FunctionShare | undefined): number | undefined {
  let first = Number.POSITIVE_INFINITY
  for (const queue of queues.live) {
    if (queue.control.isPaused) {
      if (share?.idleOnly !== true) first = Math.min(first, queues.firstStoppedEndOf(queue))
      continue
    }
    if (hasRoom(queue, share)) first = Math.min(first, queues.headOf(queue)?.dueAtMs ?? first)
    else if (share?.idleOnly !== true && queue.leasesUntilMs < first)
      first = Math.min(first, queues.firstLeaseEndOf(queue))
  }
  return Number.isFinite(first) ? first : undefined
}

function hasRoom({ control, counts }: FunctionQueue, share: FunctionShare | undefined): boolean {
  if (share?.idleOnly === true && counts.running > 0) return false
  return counts.running < (control.maxRuns ?? share?.maxRuns ?? Number.POSITIVE_INFINITY)
}

/** Below 0: `a` comes first. */
function compare(a: Candidate, b: Candidate): number {
  return (
    a.queue.counts.running - b.queue.counts.running ||
    a.head.dueAtMs - b.head.dueAtMs ||
    a.head.sequence - b.head.sequence
  )
}
