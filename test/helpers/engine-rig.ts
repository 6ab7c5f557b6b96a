import { randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import type { HandlerContract } from '../../src/contracts/contract.ts'
import { Call } from '../../src/engine/call.ts'
import type { InstanceEnding } from '../../src/engine/instance-ending.ts'
import type { LaunchPlan } from '../../src/engine/instance-setup.ts'
import type { Instance } from '../../src/engine/instance.ts'
import { PayloadBudget } from '../../src/engine/payload-budget.ts'
import { Pool } from '../../src/engine/pool.ts'
import type { FunctionState, PoolLimits } from '../../src/engine/pool-setup.ts'
import type { EndedCall } from '../../src/model/call-record.ts'
import type { FunctionVersion } from '../../src/model/function.ts'
import type { Caller } from '../../src/model/invocation.ts'
import type { Outcome } from '../../src/model/outcome.ts'
import { payloadOf, toBuffer } from '../../src/model/payload.ts'
import { echo, ScriptedSandbox, type Script } from './scripted-sandbox.ts'

/** A contract whose log lines say which hook wrote them. */
export const plainContract: HandlerContract = {
  name: 'plain',
  codeTarget: '/code',
  layersTarget: '/layers',
  keepsResults: false,
  environment: (version) => ({ FUNCTION: version.name, USER: 'of the contract' }),
  setup: (_, instance) => ({ instanceId: instance.instanceId }),
  perCall: (request) => (request.retryCount > 0 ? { retryCount: request.retryCount } : undefined),
  logOpening: ({ requestId }) => `START ${requestId}\n`,
  logClosing: ({ requestId }, ending) => `END ${requestId} ${ending.kind}\n`,
  initLogOpening: () => 'INIT\n',
  initLogClosing: (_, failure) => `INIT END ${failure ?? 'well'}\n`,
}

/** A caller that can hang up. */
export class TestCaller implements Caller {
  gone = false
  onGone: (() => void) | undefined

  hangUp(): void {
    this.gone = true
    this.onGone?.()
  }
}

export interface RigOptions {
  readonly script?: (index: number) => Script
  readonly limits?: Partial<PoolLimits>
  readonly startTimeoutMs?: number
  readonly budgetBytes?: number
  readonly launch?: (version: FunctionVersion) => LaunchPlan
  /** What the contract of the calls does otherwise than {@link plainContract}. */
  readonly contract?: Partial<HandlerContract>
}

/** A call on its way: its outcome, or the code it was refused with. */
export interface Pending {
  readonly call: Call
  readonly caller: TestCaller
  readonly outcome: Promise<Outcome>
  /** `returned`, `timedOut` …, or the code of the error. */
  readonly ending: Promise<string>
  /** Everything that was handed to the log files. */
  readonly log: () => string
  /** What was told of its end. */
  readonly record: () => EndedCall | undefined
}

/** A pool over scripted processes, with time that stands still unless a test moves it. */
export class Rig {
  /** Monotonic milliseconds as the engine sees them; real timers look at it. */
  nowMs = 1000
  readonly sandbox: ScriptedSandbox
  readonly budget: PayloadBudget
  readonly pool: Pool
  readonly endings: InstanceEnding[] = []
  /** States whose memory can never be had, as the pool told it. */
  readonly beyondMemory: FunctionState[] = []
  readonly #contract: HandlerContract
  readonly #started: Instance[] = []
  readonly #news = new Set<() => void>()
  readonly #timersBefore = runningTimers()

  private constructor(sandbox: ScriptedSandbox, options: RigOptions) {
    this.sandbox = sandbox
    this.#contract = { ...plainContract, ...options.contract }
    this.budget = new PayloadBudget(options.budgetBytes ?? 64 * 1024 * 1024)
    this.pool = new Pool(
      {
        sandbox,
        budget: this.budget,
        region: 'local',
        startTimeoutMs: options.startTimeoutMs ?? 20_000,
        ticketDir: sandbox.dir,
        clock: () => this.nowMs,
        watchMemory: () => () => undefined,
      },
      {
        maxInstances: 100,
        maxInstancesPerFunction: 50,
        maxConcurrentStarts: 50,
        memoryBudgetMib: 100_000,
        idleTimeoutMs: 1_000_000,
        queueTimeoutMs: 1_000_000,
        ...options.limits,
      },
      options.launch ?? planFor,
      {
        instanceStarted: (instance) => {
          this.#started.push(instance)
          this.#tell()
        },
        instanceEnded: (_, ending) => {
          this.endings.push(ending)
          this.#tell()
        },
        memoryUnavailable: (version) => this.beyondMemory.push(version),
      },
    )
  }

  static async open(options: RigOptions = {}): Promise<Rig> {
    return new Rig(await ScriptedSandbox.open(options.script ?? (() => echo)), options)
  }

  /** All instances ever started, in order. */
  get started(): readonly Instance[] {
    return this.#started
  }

  instance(index: number): Instance {
    const instance = this.#started[index]
    if (instance === undefined) throw new Error(`only ${this.#started.length} instances were started`)
    return instance
  }

  /** Gives the pool a call. */
  call(
    version: FunctionVersion,
    event: Buffer | string = 'event',
    more: { retryCount?: number; requestId?: string } = {},
  ): Pending {
    const caller = new TestCaller()
    const pieces: string[] = []
    let record: EndedCall | undefined
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>()
    const call = new Call(
      {
        version,
        request: {
          target: { account: version.account, namespace: version.namespace, name: version.name },
          requestId: more.requestId ?? randomUUID(),
          payload: payloadOf(event),
          retryCount: more.retryCount ?? 0,
        },
        caller,
        contract: this.#contract,
        enteredAtMs: this.nowMs,
        logs: {
          keep: (_, __, text) => pieces.push(text.toString()),
          ended: (_, ended) => {
            pieces.push(ended.log)
            record = ended
          },
        },
      },
      resolve,
      reject,
    )
    const ending = promise.then(
      ({ kind }) => kind,
      (error: { code: string }) => error.code,
    )
    this.pool.run(call)
    return { call, caller, outcome: promise, ending, log: () => pieces.join(''), record: () => record }
  }

  /** Calls an echo until its duration is known to be short. */
  async warm(version: FunctionVersion, calls = 20): Promise<void> {
    for (let index = 0; index < calls; index += 1) await this.call(version).outcome
  }

  /** Resolves once `holds` is true; asked again at every start and end of an instance and at every turn of the event loop. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      await new Promise<void>((resolve) => {
        const soon = setTimeout(resolve, 1)
        this.#news.add(() => {
          clearTimeout(soon)
          resolve()
        })
      })
      this.#news.clear()
    }
  }

  /** Ends everything and looks that nothing is left. */
  async close(): Promise<void> {
    await this.pool.close(0)
    expect(this.pool.instances.size).toBe(0)
    await this.sandbox.close()
    for (const instance of this.#started) {
      expect(instance.state).toBe('dead')
      expect(instance.delivered).toBe(0)
    }
    expect(this.budget.heldBytes).toBe(0)
    await this.until(() => runningTimers() <= this.#timersBefore)
  }

  #tell(): void {
    for (const wake of this.#news) wake()
  }
}

export function textOf(outcome: Outcome): string {
  return 'payload' in outcome ? toBuffer(outcome.payload).toString() : ''
}

export function planFor(version: FunctionVersion): LaunchPlan {
  return {
    codeTarget: '/code',
    spec: {
      functionId: version.functionId,
      command: ['scripted'],
      mounts: [{ source: '/nowhere', target: '/code' }],
      environment: version.initializer === undefined ? {} : { INITIALIZER: '1' },
      workDir: '/code',
      memoryMib: version.memoryMib,
      diskMib: version.diskMib,
    },
  }
}

/** Timers that keep this process alive. */
function runningTimers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
}
