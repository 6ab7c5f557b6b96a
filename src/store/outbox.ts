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
  /** Epoch milliseconds of the first try; absent before it. */
  readonly firstTriedAtMs?: number
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
  readonly status?: DeliveryRecord['status']
  /** Continues after the page whose `next` this is. */
  readonly after?: string
  /** 1 … 1000. */
  readonly limit: number
  /** Default false. */
  readonly withBody?: boolean
}

/** Deliveries that wait to be made. The leases are like those of tasks. */
export interface Outbox {
  /** Takes up to `limit` due deliveries, the oldest due first. */
  claimDeliveries(limit: number, nowMs: number, leaseMs: number): Promise<readonly ClaimedDelivery[]>
  renewDeliveries(leases: readonly string[], untilMs: number): Promise<readonly boolean[]>
  /** It was delivered, and is forgotten; false when the lease was no longer current. */
  delivered(lease: string): Promise<boolean>
  /** It is tried again. */
  retryDelivery(lease: string, dueAtMs: number, lastError: string): Promise<boolean>
  /** It is given up: kept for the retention time. */
  undeliverable(lease: string, lastError: string, nowMs: number): Promise<boolean>
  nextDeliveryAtMs(): Promise<number | undefined>
  /** Newest first. */
  listDeliveries(filter: DeliveryFilter): Promise<{
    readonly deliveries: readonly DeliveryRecord[]
    readonly next?: string
  }>
}
