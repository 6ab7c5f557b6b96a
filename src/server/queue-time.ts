import type { OperatorLog } from '../observe/operator-log.ts'

/** What asynchronous calls may have seen beyond the system's clock without a word: clocks are set right by less. */
const USUAL_MS = 3_600_000

/**
 * The operator is told at a start that the time of asynchronous calls is more than an hour ahead of the system's clock: one of the two was
 * wrong, and nothing else would say so.
 *
 * @param latestMs The latest moment that the queue has seen, where its time goes on.
 * @param wallMs What the system's clock shows.
 */
export function tellQueueTime(log: OperatorLog, latestMs: number, wallMs: number): void {
  if (latestMs - wallMs <= USUAL_MS) return
  log.warn(
    'the time of asynchronous calls is ahead of the system clock and stays so: nothing is delayed, but the times they show are wrong. If ' +
      'the clock is wrong now, stop the server and set it; if it was wrong before, see "A clock that was wrong" in docs/async.md',
    { time: new Date(latestMs).toISOString(), clock: new Date(wallMs).toISOString() },
  )
}
