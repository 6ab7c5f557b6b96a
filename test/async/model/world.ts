import { appendFile, copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../../../src/async/clock.ts'
import { AsyncDelivery } from '../../../src/async/delivery.ts'
import { attemptDelivery } from '../../../src/async/destinations/delivery-attempt.ts'
import type { Verdict } from '../../../src/async/destinations/delivery-policy.ts'
import { DestinationWorker } from '../../../src/async/destinations/destination-worker.ts'
import { planDelivery } from '../../../src/async/destinations/planner.ts'
import type { DestinationWords } from '../../../src/async/destination-words.ts'
import { TaskService } from '../../../src/async/task-service.ts'
import { EngineError } from '../../../src/model/errors.ts'
import { SqliteStore } from '../../../src/store/sqlite/sqlite-store.ts'
import type { ClaimedDelivery } from '../../../src/store/outbox.ts'
import { Bookkeeper } from './bookkeeper.ts'
import { Boundary, type Fault } from './boundary.ts'
import { ScriptedEngine } from './engine.ts'
import { LEASE_MS, Ledger, LIMITS, SHARE } from './ledger.ts'
import { Timeline } from './timeline.ts'

export const ACCOUNT = '1234567890123456'
export const RETENTION_MS = 3_600_000
const WEBHOOK_TIMEOUT_MS = 10_000

/** What a webhook does with a message. */
export type WebhookAnswer = 'takes' | 'fails' | 'refuses' | 'is silent'

const WORDS: ReadonlyMap<string, DestinationWords> = new Map([
  [
    'any',
    {
      bodyOf: ({ task, ending }) => ({
        body: Buffer.from(`${task.requestId} ${ending}`),
        contentType: 'text/plain',
      }),
      settingsOf: () => ({
        policy: { maxRetries: 0, maxAgeMs: 600_000 },
        destinations: {
          onFailure: { dialect: 'any', target: { kind: 'webhook', url: 'https://example.com/' } },
        },
      }),
    },
  ],
])

/** One process: everything that is gone when it dies. */
interface Process {
  readonly clock: Clock
  readonly store: SqliteStore
  readonly boundary: Boundary
  readonly engine: ScriptedEngine
  readonly delivery: AsyncDelivery
  readonly destinations: DestinationWorker
  readonly service: TaskService
  /** Read by those who hold promises of a process. */
  isDead: boolean
}

/** A machine that runs one server after another on one database. */
export class World {
  readonly timeline = new Timeline()
  readonly ledger = new Ledger()
  readonly #books = new Bookkeeper(this.ledger)
  webhooks: WebhookAnswer = 'takes'
  /** What was posted: delivery id to bodies. */
  readonly posted = new Map<string, string[]>()
  /** The events of all tasks that were ever handed in. */
  readonly submitted = new Map<string, string>()
  /** What somebody was told wrongly. */
  readonly lies: string[] = []
  /** Promises of the process that lives, not settled yet. */
  readonly open = new Set<Promise<void>>()
  /** When something was refused for a fault, last; awake milliseconds. */
  #brokenAtMs = Number.NEGATIVE_INFINITY
  readonly #dir: string
  #files = 0
  #process: Process | undefined

  private constructor(dir: string) {
    this.#dir = dir
  }

  static async open(): Promise<World> {
    const world = new World(await mkdtemp(join(tmpdir(), 'anvoke-model-')))
    await world.#boot()
    return world
  }

  get process(): Process {
    if (this.#process === undefined) throw new Error('no process runs')
    return this.#process
  }

  get nowMs(): number {
    return this.process.clock.now()
  }

  /** As `kill -9` leaves it: what was written is there, and nothing is put in order. */
  async crash(options: {
    readonly isCommitted: boolean
    readonly isTorn: boolean
    readonly wallMs: number
  }): Promise<void> {
    const { boundary, store } = this.process
    if (options.isCommitted) await boundary.commitUnanswered()
    const from = this.#file
    this.#files += 1
    await mkdir(join(this.#dir, String(this.#files)))
    await copyFile(from, this.#file)
    await copyFile(`${from}-wal`, `${this.#file}-wal`).catch(ignoreAbsence)
    // A transaction that was under way is there in part.
    if (options.isTorn) await appendFile(`${this.#file}-wal`, Buffer.alloc(5000, 7))
    this.process.isDead = true
    await boundary.kill()
    await store.close()
    this.timeline.setWall(options.wallMs)
    await this.#boot()
  }

  /** Told to end, given a grace, and started again. */
  async restart(graceMs: number, wallMs: number): Promise<void> {
    const { boundary, store, delivery, destinations } = this.process
    this.ledger.isDraining = true
    let isDrained = false
    const drained = Promise.all([delivery.drain(graceMs), destinations.drain(graceMs)]).then(() => {
      isDrained = true
    })
    await boundary.quiet()
    await this.timeline.pass(graceMs, () => boundary.quiet())
    await boundary.quiet()
    if (!isDrained) throw new Error('the grace is over, and something is not drained')
    await drained
    if (this.timeline.timers > 0) throw new Error('timers of a server that has ended')
    this.process.isDead = true
    await store.close()
    this.timeline.setWall(wallMs)
    this.ledger.isDraining = false
    await this.#boot()
  }

  async close(): Promise<void> {
    const { boundary, store } = this.process
    this.process.isDead = true
    await boundary.kill()
    await store.close()
    await rm(this.#dir, { recursive: true })
  }

  /** Looks at what comes of a promise, unless its process dies before. */
  follow<T>(what: Promise<T>, came: (value: T) => void, failed: (code: string | undefined) => void): void {
    const { process } = this
    const check = (look: () => void): void => {
      if (process.isDead) return
      try {
        look()
      } catch (error) {
        this.lies.push(String(error))
      }
    }
    const followed = what
      .then(
        (value) => check(() => came(value)),
        (error: unknown) => check(() => failed(error instanceof EngineError ? error.code : String(error))),
      )
      .finally(() => this.open.delete(followed))
    this.open.add(followed)
  }

  breakDown(fault: Fault, batches?: number): void {
    this.process.boundary.breakDown(fault, batches)
  }

  heal(): void {
    this.process.boundary.heal()
  }

  /** Whether something was broken at this moment (awake milliseconds), or later. */
  isBrokenSince(ms: number): boolean {
    return this.process.boundary.isBroken || this.#brokenAtMs >= ms
  }

  /** Until nothing is under way but runs and timers. */
  async quiet(): Promise<void> {
    await this.process.boundary.quiet()
  }

  /** What is under way in the process goes on as far as it can without the disk. */
  async idle(): Promise<void> {
    await setImmediate()
  }

  get #file(): string {
    return this.#files === 0 ? join(this.#dir, 'store.db') : join(this.#dir, String(this.#files), 'store.db')
  }

  async #boot(): Promise<void> {
    const now = { ms: (): number => 0 }
    this.open.clear()
    this.ledger.voidLeases()
    const { store, boundary } = await Boundary.open(
      () => SqliteStore.open({ file: this.#file, ...LIMITS, retentionMs: RETENTION_MS, now: () => now.ms() }),
      this.#books.enter,
    )
    boundary.onFault = () => {
      this.#brokenAtMs = this.timeline.awakeMs
    }
    const [latestMs] = await boundary.ask({ name: 'findLatestMs', input: null })
    const clock = this.timeline.boot(latestMs)
    now.ms = () => clock.now()
    const engine = new ScriptedEngine(clock)
    this.ledger.runs = engine.runs
    const delivery = new AsyncDelivery({
      tasks: store.tasks,
      clock,
      tell: (ended) => planDelivery(ended, WORDS),
      told: () => destinations.notify(),
      invoke: (request, caller) => engine.invoke(request, caller),
      terminate: (caller, graceMs) => engine.terminate(caller, graceMs),
      ...SHARE,
      leaseMs: LEASE_MS,
      observe: (event) => {
        if (event.kind === 'started') engine.announce(event.task)
      },
    })
    const service = new TaskService({ queue: store.tasks, delivery, clock })
    const means = {
      words: WORDS,
      tasks: service,
      requireFunction: () => undefined,
      webhooks: {
        post: (claimed: ClaimedDelivery, _url: string, signal: AbortSignal) => this.#post(claimed, signal),
      },
    }
    const destinations = new DestinationWorker({
      outbox: store.outbox,
      attempt: (claimed, signal) => attemptDelivery(claimed, means, signal),
      clock,
    })
    this.#process = { clock, store, boundary, engine, delivery, destinations, service, isDead: false }
    delivery.start()
    destinations.start()
    await this.idle()
  }

  #post({ deliveryId, body }: ClaimedDelivery, signal: AbortSignal): Promise<Verdict> {
    this.posted.set(deliveryId, [...(this.posted.get(deliveryId) ?? []), body.toString()])
    if (this.webhooks === 'takes') return Promise.resolve({ kind: 'delivered' })
    if (this.webhooks === 'refuses') return Promise.resolve({ kind: 'refused', reason: 'webhook-status 410' })
    const failed: Verdict = { kind: 'failed', reason: 'webhook-timeout' }
    if (this.webhooks === 'fails') return Promise.resolve(failed)
    return new Promise((resolve) => {
      const cancel = this.process.clock.after(WEBHOOK_TIMEOUT_MS, () => resolve(failed))
      signal.addEventListener('abort', () => {
        cancel()
        resolve(failed)
      })
    })
  }
}

function ignoreAbsence(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
}
