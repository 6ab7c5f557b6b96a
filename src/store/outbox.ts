import type { FunctionName } from '../model/function.ts'

/** Whom a task's ending is told, by how it ended. */
export interface Destinations {
  readonly onSuccess?: Destination
  /** Also of a task that expired. */
  readonly onFailure?: Destination
}

/** Where an ending is told, and in whose words. */
export interface Destination {
  /** The name of the dialect that configured it: its words are used. */
  readonly dialect: string
  readonly target: DestinationTarget
}

/** `unreachable`: something that only the vendor has; `name` is what the user wrote. */
export type DestinationTarget =
  | ({ readonly kind: 'function'; readonly qualifier?: string } & FunctionName)
  | { readonly kind: 'webhook'; readonly url: string }
  | { readonly kind: 'unreachable'; readonly name: string }

/** The telling of one ending to one destination. */
export interface NewDelivery {
  /** Unique; names the task that a function destination gets, and the message that a webhook gets. */
  readonly deliveryId: string
  readonly account: string
  readonly namespace: string
  readonly functionName: string
  /** Of the task that ended. */
  readonly requestId: string
  readonly on: 'success' | 'failure'
  readonly destination: Destination
  /** Deliveries before it in its chain. */
  readonly depth: number
  /** In the vendor's shape; at most {@link DELIVERY_BYTES}. */
  readonly body: Buffer
  readonly contentType: string
  readonly createdAtMs: number
}

/** Longest body of a delivery: an event and a result as text, with all that surrounds them. */
export const DELIVERY_BYTES = 1024 * 1024

/** A delivery that this server may try until its lease ends. */
export interface ClaimedDelivery extends NewDelivery {
  readonly lease: string
  /** Tries that failed. */
  readonly attempts: number
}

/** A delivery as it is now. Delivered ones are not kept. */
export interface DeliveryRecord extends Omit<NewDelivery, 'body'> {
  readonly status: 'waiting' | 'delivering' | 'undeliverable'
  readonly attempts: number
  readonly dueAtMs?: number
  readonly endedAtMs?: number
  readonly lastError?: string
  readonly body?: Buffer
}

export interface DeliveryFilter {
  readonly account: string
  readonly namespace?: string
  readonly functionName?: string
  /** Of the task that ended. */
  readonly requestId?: string
  readonly status?: DeliveryRecord['status']
  /** Continues after the page whose `next` this is. */
  readonly after?: string
  /** 1 … 1000. */
  readonly limit: number
  /** Default false. A page ends early rather than to hold more than 16 MiB of bodies; it holds one delivery at least. */
  readonly withBody?: boolean
}

/** Which undeliverable deliveries are made again; absent members exclude nothing. The range is half-open: from ≤ t < to. */
export interface RedeliverFilter {
  /** Of the tasks that ended. */
  readonly requestIds?: readonly string[]
  readonly endedFromMs?: number
  readonly endedToMs?: number
}

/** A delivery that is made again. */
export interface Redelivered {
  readonly deliveryId: string
  /** Of the task that ended. */
  readonly requestId: string
  /** When it was given up: where a next step may begin. */
  readonly endedAtMs: number
}

/** How many tries one function, and one webhook's host, may have under way, so that they do not keep others waiting. */
export interface DeliveryShare {
  /** 1 or more. */
  readonly maxPerFunction: number
  /** All functions together at one origin of webhooks, 1 or more. */
  readonly maxPerOrigin: number
  /** Deliveries beyond `limit` for functions that have none under way, one each. Default 0. */
  readonly first?: number
  /** Only functions that have none under way. Default false. */
  readonly idleOnly?: boolean
}

/** What came to nothing as the outbox is full, without a try or a trace. */
export interface OutboxLosses {
  /** Written as undeliverable at once, with {@link OUTBOX_FULL}. */
  readonly refused: number
  /** Undeliverable ones that were forgotten before their time, to make room for others. */
  readonly forgotten: number
}

/** Why a delivery is undeliverable that was not tried, as there were too many to be made already. */
export const OUTBOX_FULL = 'outbox-full'

/**
 * Deliveries that wait to be made. The leases are like those of tasks.
 *
 * It is bounded. What ends while as many deliveries, or as many bytes, wait as may is kept as undeliverable at once, with
 * {@link OUTBOX_FULL}; the tasks are not held up. Of undeliverable ones as many are kept; of more the oldest of the function that has
 * the most are forgotten.
 */
export interface Outbox {
  /**
   * Takes up to `limit` due deliveries: each from the function that has the fewest under way, of its origins from the one that has the
   * fewest, of those the one due longest.
   */
  claimDeliveries(
    limit: number,
    nowMs: number,
    leaseMs: number,
    share?: DeliveryShare,
  ): Promise<readonly ClaimedDelivery[]>
  renewDeliveries(leases: readonly string[], untilMs: number): Promise<readonly boolean[]>
  /** It was delivered, and is forgotten; false when the lease was no longer current. */
  delivered(lease: string): Promise<boolean>
  /** It is tried again. */
  retryDelivery(lease: string, dueAtMs: number, lastError: string): Promise<boolean>
  /** It is given up: kept for the retention time. */
  undeliverable(lease: string, lastError: string, nowMs: number): Promise<boolean>
  /**
   * When the next is due, or undefined when there is none.
   *
   * @param share Of functions and origins that have theirs only ends of leases count.
   */
  nextDeliveryAtMs(share?: DeliveryShare): Promise<number | undefined>
  /**
   * What was lost since it was last asked for, or since the start. Counted in memory, for the operator's log: what is written twice, as the
   * disk was full the first time, may be counted twice.
   */
  takeLosses(): Promise<OutboxLosses>
  /**
   * Makes undeliverable deliveries of a function wait again, under their ids and due at once, as if they had never been tried; those that
   * were given up first come first. Ends early rather than to take more than 16 MiB of bodies; it takes one at least.
   *
   * @param limit 1 … 1000
   * @returns `isFull`: there is no room for the next.
   */
  redeliver(
    owner: FunctionName,
    limit: number,
    which?: RedeliverFilter,
  ): Promise<{ readonly redelivered: readonly Redelivered[]; readonly isFull: boolean }>
  /** Newest first. */
  listDeliveries(filter: DeliveryFilter): Promise<{
    readonly deliveries: readonly DeliveryRecord[]
    readonly next?: string
  }>
}
