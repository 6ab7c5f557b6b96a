import type { Clock } from '../../../src/async/clock.ts'
import type { TaskLabel } from '../../../src/async/delivery-event.ts'
import { EngineError } from '../../../src/model/errors.ts'
import { LATEST, type FunctionVersion } from '../../../src/model/function.ts'
import type { Caller, InvokeRequest } from '../../../src/model/invocation.ts'
import type { Ending, Outcome } from '../../../src/model/outcome.ts'
import { payloadOf, toBuffer } from '../../../src/model/payload.ts'

const VERSION: FunctionVersion = {
  id: 'state-1',
  functionId: 'function-1',
  account: '1234567890123456',
  namespace: 'default',
  name: 'any',
  version: LATEST,
  facts: {},
  contract: 'any',
  runtime: 'any',
  handler: 'index.handler',
  timeoutMs: 1000,
  memoryMib: 128,
  diskMib: 512,
  instanceConcurrency: 1,
  environment: {},
  code: { digest: '', crc64: '', sizeBytes: 0, expandedBytes: 0 },
}

export type RunEnd =
  | 'returned'
  | 'threw'
  | 'timedOut'
  | 'crashed'
  | 'initFailed'
  | 'terminated'
  | 'cancelled'
  | 'refused'
  | 'refusedForGood'
  | 'faulted'

/** What a run does when it is told to end. */
export type Manner = 'obeys' | 'succeeds' | 'fails' | 'lingers'

/** One call that the engine was given. */
export interface Run {
  readonly task: TaskLabel
  readonly payload: string
  readonly retryCount: number
  readonly beganAtMs: number
  readonly caller: Caller
  /** How it ended, by the engine's account. */
  end: { readonly how: RunEnd; readonly atMs: number } | undefined
  /** It was told to end: with which grace. */
  stoppedWithMs: number | undefined
}

const ENDINGS: Record<Exclude<RunEnd, 'refused' | 'refusedForGood' | 'faulted'>, Ending> = {
  returned: { kind: 'returned', payload: payloadOf('done') },
  threw: { kind: 'threw', errorType: 'TypeError', handled: false, payload: payloadOf('{}') },
  timedOut: { kind: 'timedOut', afterMs: 1000 },
  crashed: { kind: 'crashed', cause: 'signalled', signal: 'SIGKILL' },
  initFailed: {
    kind: 'initFailed',
    phase: 'load',
    reason: 'threw',
    errorType: 'SyntaxError',
    payload: payloadOf('{}'),
  },
  terminated: { kind: 'terminated' },
  cancelled: { kind: 'cancelled' },
}

/** An engine whose runs end when and how a test says. */
export class ScriptedEngine {
  readonly #clock: Clock
  readonly #ends = new Map<Run, (how: RunEnd) => void>()
  /** The delivery says which task it starts just before it invokes. */
  #announced: TaskLabel | undefined
  manner: Manner = 'obeys'
  /** By lease. */
  readonly runs = new Map<string, Run>()
  /** Runs end at once as they begin. */
  isSwift = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Runs that have not ended. */
  get active(): readonly Run[] {
    return [...this.#ends.keys()]
  }

  announce(task: TaskLabel): void {
    this.#announced = task
  }

  invoke(request: InvokeRequest, caller: Caller): Promise<Outcome> {
    const task = this.#announced
    this.#announced = undefined
    if (task?.requestId !== request.requestId) throw new Error('a run that was not announced')
    const payload = toBuffer(request.payload).toString()
    const { retryCount } = request
    const run: Run = {
      task,
      payload,
      retryCount,
      beganAtMs: this.#clock.now(),
      caller,
      end: undefined,
      stoppedWithMs: undefined,
    }
    this.runs.set(task.lease, run)
    caller.onGone = () => this.end(run, 'cancelled')
    return new Promise((resolve, reject) => {
      this.#ends.set(run, (how) => {
        this.#ends.delete(run)
        run.end = { how, atMs: this.#clock.now() }
        if (how === 'refused') reject(new EngineError('platform/no-capacity', { waitedMs: 0 }))
        else if (how === 'refusedForGood')
          reject(
            new EngineError('caller/function-not-found', { namespace: 'default', name: task.functionName }),
          )
        else if (how === 'faulted') reject(new Error('the engine is broken'))
        else resolve(outcomeOf(ENDINGS[how]))
      })
      if (this.isSwift) this.#ends.get(run)?.('returned')
    })
  }

  /** Ends a run that has not ended. */
  end(run: Run, how: RunEnd): void {
    this.#ends.get(run)?.(how)
  }

  terminate(caller: Caller, graceMs: number): boolean {
    const run = this.active.find((one) => one.caller === caller)
    if (run === undefined) return false
    run.stoppedWithMs = graceMs
    if (this.manner === 'obeys') this.end(run, 'terminated')
    else if (this.manner === 'succeeds') this.end(run, 'returned')
    else if (this.manner === 'fails') this.end(run, 'threw')
    else {
      const end = this.#ends.get(run)
      const cancel = this.#clock.after(graceMs, () => end?.('terminated'))
      this.#ends.set(run, (how) => {
        cancel()
        end?.(how)
      })
    }
    return true
  }
}

function outcomeOf(ending: Ending): Outcome {
  return {
    version: VERSION,
    instanceId: 'instance-1',
    coldStart: false,
    durationMs: 1,
    billedDurationMs: 1,
    initDurationMs: 0,
    maxMemoryBytes: 0,
    logTail: () => Buffer.from('the end of the log'),
    ...ending,
  }
}
