import type { ClaimedDelivery } from '../../store/outbox.ts'

/** Deliveries in one chain: two functions that are each other's destination come to an end. */
export const CHAIN_DELIVERIES = 16

/**
 * Waits between tries, and what they may sum up to. Time in which nothing could be tried does not count: the server was down, or there was
 * no place.
 * Source: Alibaba Cloud Function Compute, destinations of asynchronous calls: from 500 ms on, for up to 30 min.
 */
export const TRIES = { firstMs: 500, longestMs: 60_000, forMs: 30 * 60_000 } as const

/** What one try came to. Reasons are codes: no address, no content. */
export type Verdict =
  | { readonly kind: 'delivered' }
  /** It may work later. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** It never works. */
  | { readonly kind: 'refused'; readonly reason: string }

export type NextTry =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'retry'; readonly dueAtMs: number; readonly reason: string }
  | { readonly kind: 'undeliverable'; readonly reason: string }

/** What follows a try. */
export function afterTry(
  { attempts }: Pick<ClaimedDelivery, 'attempts'>,
  verdict: Verdict,
  nowMs: number,
): NextTry {
  if (verdict.kind === 'delivered') return { kind: 'delivered' }
  const { reason } = verdict
  if (verdict.kind === 'refused' || waitedMs(attempts + 1) > TRIES.forMs)
    return { kind: 'undeliverable', reason }
  return { kind: 'retry', dueAtMs: nowMs + waitMs(attempts), reason }
}

/** The wait after so many tries before, and the one that has just failed. */
function waitMs(attempts: number): number {
  return Math.min(TRIES.firstMs * 2 ** attempts, TRIES.longestMs)
}

/** Sum of the first `count` waits. */
function waitedMs(count: number): number {
  const doubling = Math.min(count, Math.ceil(Math.log2(TRIES.longestMs / TRIES.firstMs)))
  return TRIES.firstMs * (2 ** doubling - 1) + (count - doubling) * TRIES.longestMs
}
