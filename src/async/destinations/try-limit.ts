import type { Clock } from '../clock.ts'

/** After its signal a try has so long to end by itself, and to say what it came to. */
export const HEED_MS = 1000

export interface TryLimit {
  readonly clock: Clock
  readonly limitMs: number
  /** Ends it before. */
  readonly stopping: AbortSignal
}

/**
 * What `attempt` comes to within its time. Its signal comes when the time is over, or the server stops; one that goes on for
 * {@link HEED_MS} after it is waited for no longer, and what it comes to then is ignored.
 *
 * @throws What it throws; `RangeError` when it is not waited for.
 */
export async function withinLimit<T>(
  attempt: (signal: AbortSignal) => Promise<T>,
  { clock, limitMs, stopping }: TryLimit,
): Promise<T> {
  const over = new AbortController()
  const left = Promise.withResolvers<never>()
  let cancelLeaving = (): void => undefined
  const end = (): void => {
    cancelLeaving()
    cancelLeaving = clock.after(HEED_MS, () => left.reject(new RangeError('a try does not end')))
    over.abort()
  }
  const cancelLimit = clock.after(limitMs, end)
  stopping.addEventListener('abort', end, { once: true })
  if (stopping.aborted) end()
  try {
    return await Promise.race([attempt(over.signal), left.promise])
  } finally {
    cancelLimit()
    cancelLeaving()
    stopping.removeEventListener('abort', end)
  }
}
