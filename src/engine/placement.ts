/** An instance as placement sees it. */
export interface Seat {
  /** Calls delivered and not answered. */
  readonly delivered: number
  readonly hasRoom: boolean
  /** How long its longest-running call has run, milliseconds. */
  runningForMs(nowMs: number): number
}

/** What the choice is weighed with; all milliseconds, all measured for this very version. */
export interface Costs {
  /** What one call may well take in an instance; undefined before the first was measured. */
  readonly serviceMs: number | undefined
  /** What calls take on average: many of them in a row come close to it. */
  readonly meanServiceMs: number | undefined
  /** What waking an idle instance costs. */
  readonly wakeMs: number
  /** What starting another instance costs. */
  readonly startMs: number
}

/**
 * How long a call delivered to a seat now would wait before it begins.
 *
 * A running call is expected to need the rest of the estimate, and once it has overrun that, as long again as it has run so
 * far: what is late is likely to get later.
 */
export function expectedWaitMs(seat: Seat, concurrency: number, costs: Costs, nowMs: number): number {
  if (seat.delivered < concurrency) return 0
  if (costs.serviceMs === undefined) return Infinity
  const ranMs = seat.runningForMs(nowMs)
  const restMs = ranMs < costs.serviceMs ? costs.serviceMs - ranMs : ranMs
  return (restMs + (seat.delivered - concurrency) * costs.serviceMs) / concurrency
}

/**
 * The seat for a call: the first, in the given order (most recently used first), where it would begin at once or after a
 * wait shorter than waking another costs.
 *
 * @returns Its index, or -1 when the call should wait for one to become free.
 */
export function chooseSeat(seats: readonly Seat[], concurrency: number, costs: Costs, nowMs: number): number {
  return seats.findIndex(
    (seat) => seat.hasRoom && expectedWaitMs(seat, concurrency, costs, nowMs) <= costs.wakeMs,
  )
}

/** The calls of one crew that wait for a seat. */
export interface Queue {
  readonly waiting: number
  /** How long the first of them that no starting instance will serve has waited while an instance was ready, milliseconds. */
  readonly oldestWaitMs: number
  readonly startingInstances: number
  readonly readyInstances: number
  /** How long the longest-running call of all instances has run, milliseconds. */
  readonly runningForMs: number
}

/** While none is ready, so many may start for any number of calls. */
const LEAST_FIRST_STARTS = 4

/**
 * Whether one more instance should be started for the calls that wait.
 *
 * Yes when the wait, expected or already suffered, is longer than a start. Calls that instances already starting will serve do not
 * count. While no call was measured, each is expected to take as long as one has run so far.
 *
 * Before the first instance is ready nothing is known: most calls are short, and then one that is ready serves many before another is.
 * So no more are started than the square root of what would serve all at once, but at least four.
 */
export function wantsStart(queue: Queue, concurrency: number, costs: Costs): boolean {
  const unserved = queue.waiting - queue.startingInstances * concurrency
  if (unserved <= 0) return false
  if (queue.readyInstances === 0)
    return queue.startingInstances < Math.max(LEAST_FIRST_STARTS, Math.sqrt(queue.waiting / concurrency))
  if (queue.oldestWaitMs > costs.startMs) return true
  const serviceMs = costs.meanServiceMs ?? queue.runningForMs
  return (unserved * serviceMs) / (queue.readyInstances * concurrency) > costs.startMs
}

/**
 * Whether calls delivered ahead to a seat have been held for longer than the alternative costs, and should be taken back.
 *
 * Waiting exactly as long as the alternative costs, and then taking it, never costs more than twice the best choice in hindsight.
 *
 * @param idleElsewhere Whether another seat could run them at once.
 */
export function heldTooLong(
  seat: Seat,
  concurrency: number,
  costs: Costs,
  idleElsewhere: boolean,
  nowMs: number,
): boolean {
  if (seat.delivered <= concurrency) return false
  const overrunMs = seat.runningForMs(nowMs) - (costs.serviceMs ?? 0)
  return overrunMs > (idleElsewhere ? costs.wakeMs : costs.startMs)
}

/**
 * Whether a call that should be running is to be taken back unless it has begun: the process may be stuck in what an earlier
 * call left behind. To find out costs more than most calls, so it is asked only when even an overrun would be long.
 *
 * @param unprovenForMs Since when the call is taken to be running without proof; 0 when there is proof.
 */
export function beginsTooLate(unprovenForMs: number, costs: Costs): boolean {
  return unprovenForMs - (costs.serviceMs ?? 0) > costs.startMs
}
