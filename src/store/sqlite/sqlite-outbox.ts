import type { FunctionName } from '../../model/function.ts'
import type {
  ClaimedDelivery,
  DeliveryFilter,
  DeliveryRecord,
  DeliveryShare,
  Outbox,
  OutboxLosses,
  RedeliverFilter,
} from '../outbox.ts'
import { bufferOf } from './blobs.ts'
import type { DatabaseThread } from './database-thread.ts'

/** The deliveries of a database, asked for from the thread that serves calls. */
export class SqliteOutbox implements Outbox {
  readonly #thread: DatabaseThread
  readonly #now: () => number

  constructor(thread: DatabaseThread, now: () => number) {
    this.#thread = thread
    this.#now = now
  }

  async claimDeliveries(
    limit: number,
    nowMs: number,
    leaseMs: number,
    share?: DeliveryShare,
  ): Promise<readonly ClaimedDelivery[]> {
    const input = { limit, nowMs, leaseMs, ...(share === undefined ? {} : { share }) }
    const rows = await this.#thread.run('claimDeliveries', input)
    return rows.map((row) => ({ ...row, body: bufferOf(row.body) }))
  }

  renewDeliveries(leases: readonly string[], untilMs: number): Promise<readonly boolean[]> {
    return this.#thread.run('renewDeliveries', { leases, untilMs })
  }

  delivered(lease: string): Promise<boolean> {
    return this.#thread.run('endDelivery', { lease, nowMs: this.#now() })
  }

  retryDelivery(lease: string, dueAtMs: number, lastError: string): Promise<boolean> {
    return this.#thread.run('retryDelivery', { lease, dueAtMs, lastError })
  }

  undeliverable(lease: string, lastError: string, nowMs: number): Promise<boolean> {
    return this.#thread.run('endDelivery', { lease, lastError, nowMs })
  }

  nextDeliveryAtMs(share?: DeliveryShare): Promise<number | undefined> {
    return this.#thread.run('findNextDelivery', share === undefined ? {} : { share })
  }

  redeliver(owner: FunctionName, limit: number, which?: RedeliverFilter): ReturnType<Outbox['redeliver']> {
    const nowMs = this.#now()
    return this.#thread.run('redeliver', { owner, limit, nowMs, ...(which === undefined ? {} : { which }) })
  }

  takeLosses(): Promise<OutboxLosses> {
    return this.#thread.run('takeLosses', null)
  }

  async listDeliveries(
    filter: DeliveryFilter,
  ): Promise<{ readonly deliveries: readonly DeliveryRecord[]; readonly next?: string }> {
    const { deliveries, ...page } = await this.#thread.run('listDeliveries', { filter })
    return {
      ...page,
      deliveries: deliveries.map(({ body, ...record }) =>
        body === undefined ? record : { ...record, body: bufferOf(body) },
      ),
    }
  }
}
