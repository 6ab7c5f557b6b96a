import type { ClaimedDelivery, Outbox, OutboxLosses } from '../../store/outbox.ts'
import { Alarm } from '../alarm.ts'
import type { Clock } from '../clock.ts'
import { Settlements } from '../settlements.ts'
import { afterTry, type NextTry, type Verdict } from './delivery-policy.ts'
import type { DeliveryLabel, DestinationEvent } from './destination-event.ts'
import { withinLimit } from './try-limit.ts'

/** More than what a try may take: a lease ends during one only when the process stood still. */
const LEASE_MS = 60_000
/** For a try of any kind; those of webhooks end earlier by themselves. */
const TRY_MS = 30_000
/** Tries that functions share. With those beyond it also bounds the bodies in memory. */
const PARALLEL_TRIES = 32
/** Beyond, for functions that have none under way, one each: so that those that wait for slow answers keep nobody waiting. */
const FIRST_TRIES = 32
/** Twice what one origin may have: a function with one destination that is silent still reaches its other one. */
const PARALLEL_TRIES_PER_FUNCTION = 16
/** Tries at one webhook's host: one that answers slowly, or never, leaves places for others. */
const PARALLEL_TRIES_PER_ORIGIN = 8
/** Wait before the outbox is asked again after it failed. */
const OUTBOX_RETRY_MS = 1000
/** The operator is told at most so often of what a full outbox loses: there may be thousands in a second. */
const LOSSES_EVERY_MS = 60_000

export interface DestinationWorkerOptions {
  readonly outbox: Outbox
  /** One try, over soon after the signal: one that is not is waited for no longer, and tried again. */
  readonly attempt: (delivery: ClaimedDelivery, signal: AbortSignal) => Promise<Verdict>
  readonly clock: Clock
  /** Told of everything that happens; what it throws is ignored. */
  readonly observe?: (event: DestinationEvent) => void
}

/**
 * Makes the deliveries of an outbox, each at least once and with the same id, until it is delivered or given up.
 *
 * It *looks* when told of a delivery, when a try ends, and when the outbox says that the next one is due; a look claims as many as there
 * are places, which the outbox deals out between functions and between the origins of webhooks. While what a try came to waits for room
 * on a full disk nothing is claimed. When it is told to drain it claims no more, lets tries end within the grace, and ends the rest: they
 * keep their leases, which the next start takes from them.
 */
export class DestinationWorker {
  readonly #outbox: Outbox
  readonly #attempt: DestinationWorkerOptions['attempt']
  readonly #clock: Clock
  readonly #observe: (event: DestinationEvent) => void
  readonly #settlements: Settlements
  readonly #stopping = new AbortController()
  readonly #tries = new Set<Promise<void>>()
  #mode: 'idle' | 'delivering' | 'draining' = 'idle'
  #looking: Promise<void> | undefined
  #lookAgain = false
  readonly #alarm: Alarm
  /** What the operator was not told of yet. */
  #losses: OutboxLosses = { refused: 0, forgotten: 0 }
  #tellsLossesAtMs = 0
  #drained: Promise<void> | undefined

  constructor({ outbox, attempt, clock, observe = () => undefined }: DestinationWorkerOptions) {
    this.#outbox = outbox
    this.#attempt = attempt
    this.#clock = clock
    this.#observe = observe
    this.#settlements = new Settlements({
      clock,
      onFull: (error) => this.#emit({ kind: 'outboxFailed', operation: 'settle', error }),
    })
    this.#alarm = new Alarm(clock, () => this.#look())
  }

  /** Tries that have not ended, or of which the outbox does not know it yet. */
  get underWay(): number {
    return this.#tries.size
  }

  /** Begins to deliver; once. */
  start(): void {
    if (this.#mode !== 'idle') throw new Error(`the deliveries are ${this.#mode} and cannot be started`)
    this.#mode = 'delivering'
    this.#look()
  }

  /** A delivery was written. Cheap; may be called at any time. */
  notify(): void {
    this.#look()
  }

  /**
   * Claims no more, gives tries `graceMs` to end, and ends the rest. Resolves when none is under way, or is waited for, a second after the
   * grace at the latest; never rejects.
   */
  drain(graceMs: number): Promise<void> {
    const cancel = this.#clock.after(graceMs, () => this.#giveUp())
    this.#drained ??= this.#drain()
    return this.#drained.finally(cancel)
  }

  async #drain(): Promise<void> {
    this.#mode = 'draining'
    this.#alarm.stop()
    await this.#looking
    await Promise.all(this.#tries)
    try {
      this.#addLosses(await this.#outbox.takeLosses())
    } catch (error) {
      this.#emit({ kind: 'outboxFailed', operation: 'claim', error })
    }
    this.#tellLosses()
  }

  #giveUp(): void {
    this.#stopping.abort()
    this.#settlements.giveUp()
  }

  #look(): void {
    if (this.#mode !== 'delivering') return
    if (this.#looking !== undefined) {
      this.#lookAgain = true
      return
    }
    this.#lookAgain = false
    this.#looking = this.#claimDue().finally(() => {
      this.#looking = undefined
      if (this.#lookAgain) this.#look()
    })
  }

  async #claimDue(): Promise<void> {
    const underWay = this.#tries.size
    const places = Math.max(0, PARALLEL_TRIES - underWay)
    const first = FIRST_TRIES - Math.max(0, underWay - PARALLEL_TRIES)
    if (places + first <= 0) return
    if (this.#settlements.unwritten > 0) {
      this.#wakeAt(this.#clock.now() + OUTBOX_RETRY_MS)
      return
    }
    const share = {
      maxPerFunction: PARALLEL_TRIES_PER_FUNCTION,
      maxPerOrigin: PARALLEL_TRIES_PER_ORIGIN,
      first,
    }
    try {
      const claimed = await this.#outbox.claimDeliveries(places, this.#clock.now(), LEASE_MS, share)
      for (const delivery of claimed) this.#take(delivery)
      if (claimed.length === places + first) return
      const idleOnly = this.#tries.size >= PARALLEL_TRIES
      const [dueAtMs, losses] = await Promise.all([
        this.#outbox.nextDeliveryAtMs({ ...share, idleOnly }),
        this.#outbox.takeLosses(),
      ])
      if (dueAtMs !== undefined) this.#wakeAt(dueAtMs)
      this.#noteLosses(losses)
    } catch (error) {
      this.#emit({ kind: 'outboxFailed', operation: 'claim', error })
      this.#lookAgain = false
      this.#wakeAt(this.#clock.now() + OUTBOX_RETRY_MS)
    }
  }

  /** Tells of them, or wakes when they may be told. */
  #noteLosses(losses: OutboxLosses): void {
    this.#addLosses(losses)
    if (this.#clock.now() >= this.#tellsLossesAtMs) this.#tellLosses()
    else if (this.#losses.refused + this.#losses.forgotten > 0) this.#wakeAt(this.#tellsLossesAtMs)
  }

  #addLosses({ refused, forgotten }: OutboxLosses): void {
    this.#losses = {
      refused: this.#losses.refused + refused,
      forgotten: this.#losses.forgotten + forgotten,
    }
  }

  #tellLosses(): void {
    const losses = this.#losses
    if (losses.refused + losses.forgotten === 0) return
    this.#losses = { refused: 0, forgotten: 0 }
    this.#tellsLossesAtMs = this.#clock.now() + LOSSES_EVERY_MS
    this.#emit({ kind: 'outboxOverflowed', losses })
  }

  #wakeAt(atMs: number): void {
    if (this.#mode === 'delivering') this.#alarm.setTo(atMs)
  }

  #take(delivery: ClaimedDelivery): void {
    const made = this.#make(delivery).finally(() => {
      this.#tries.delete(made)
      this.#look()
    })
    this.#tries.add(made)
  }

  /** Never rejects. */
  async #make(delivery: ClaimedDelivery): Promise<void> {
    const { body: _body, contentType: _contentType, ...label } = delivery
    const verdict = await this.#tryOnce(delivery, label)
    // What was cut short is no attempt: it is due at once when the next start takes its lease.
    if (this.#stopping.signal.aborted && verdict.kind === 'failed') return
    const next = afterTry(delivery, verdict, this.#clock.now())
    try {
      const current = await this.#settlements.write(() => this.#write(delivery.lease, next))
      if (!current) this.#emit({ kind: 'leaseLost', delivery: label })
      else if (next.kind === 'retry') {
        const { dueAtMs, reason } = next
        this.#emit({ kind: 'postponed', delivery: label, dueAtMs, reason })
      } else this.#emit({ ...next, delivery: label })
    } catch (error) {
      this.#emit({ kind: 'outboxFailed', operation: 'settle', error })
    }
  }

  #write(lease: string, next: NextTry): Promise<boolean> {
    switch (next.kind) {
      case 'delivered':
        return this.#outbox.delivered(lease)
      case 'retry':
        return this.#outbox.retryDelivery(lease, next.dueAtMs, next.reason)
      case 'undeliverable':
        return this.#outbox.undeliverable(lease, next.reason, this.#clock.now())
    }
  }

  async #tryOnce(delivery: ClaimedDelivery, label: DeliveryLabel): Promise<Verdict> {
    try {
      return await withinLimit((signal) => this.#attempt(delivery, signal), {
        clock: this.#clock,
        limitMs: TRY_MS,
        stopping: this.#stopping.signal,
      })
    } catch (error) {
      this.#emit({ kind: 'attemptFaulted', delivery: label, error })
      return { kind: 'failed', reason: 'internal' }
    }
  }

  #emit(event: DestinationEvent): void {
    try {
      this.#observe(event)
    } catch {
      // An observer cannot break the deliveries; it has no better place to complain either.
    }
  }
}
