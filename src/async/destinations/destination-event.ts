import type { ClaimedDelivery, OutboxLosses } from '../../store/outbox.ts'

/** Names a delivery in logs: everything but what is told. */
export type DeliveryLabel = Omit<ClaimedDelivery, 'body' | 'contentType'>

/** What happened to deliveries, for logs and tests. */
export type DestinationEvent =
  | { readonly kind: 'delivered'; readonly delivery: DeliveryLabel }
  | {
      readonly kind: 'postponed'
      readonly delivery: DeliveryLabel
      readonly dueAtMs: number
      readonly reason: string
    }
  /** It is given up, and kept. */
  | { readonly kind: 'undeliverable'; readonly delivery: DeliveryLabel; readonly reason: string }
  /** Its lease ended, and it is made again; what this try came to is dropped. */
  | { readonly kind: 'leaseLost'; readonly delivery: DeliveryLabel }
  /** The outbox is full: so many endings since the last time came to nothing there. */
  | { readonly kind: 'outboxOverflowed'; readonly losses: OutboxLosses }
  /** A try broke its contract: it threw, or did not end. It is tried again. */
  | { readonly kind: 'attemptFaulted'; readonly delivery: DeliveryLabel; readonly error: unknown }
  /** The outbox did not do what it was asked to. What was leased becomes due when its lease ends. */
  | {
      readonly kind: 'outboxFailed'
      readonly operation: 'claim' | 'settle'
      readonly error: unknown
    }
