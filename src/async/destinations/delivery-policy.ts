import type { ClaimedDelivery } from '../../store/outbox.ts'

/** Deliveries in one chain: two functions that are each other's destination come to an end. */
export const CHAIN_DELIVERIES = 16

/**
 * Waits between tries, and for how long it is tried.
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
  delivery: Pick<ClaimedDelivery, 'attempts' | 'firstTriedAtMs'>,
  verdict: Verdict,
  nowMs: number,
): NextTry {
  if (verdict.kind === 'delivered') return { kind: 'delivered' }
  if (verdict.kind === 'refused') return { kind: 'undeliverable', reason: verdict.reason }
  const { attempts, firstTriedAtMs = nowMs } = delivery
  const dueAtMs = nowMs + Math.min(TRIES.firstMs * 2 ** attempts, TRIES.longestMs)
  return dueAtMs > firstTriedAtMs + TRIES.forMs
    ? { kind: 'undeliverable', reason: verdict.reason }
    : { kind: 'retry', dueAtMs, reason: verdict.reason }
}
