import { EngineError } from '../model/errors.ts'
import type { FunctionVersion } from '../model/function.ts'
import type { Call } from './call.ts'
import { Durations } from './durations.ts'
import type { Instance, InstanceEnding } from './instance.ts'
import { chooseSeat, heldTooLong, wantsStart, type Costs } from './placement.ts'

/** A call that was taken back unbegun this often from instances that ended is refused. */
const MAX_REDELIVERIES = 50
/** Bootstrap and channel work around one call, milliseconds: `npm run bench`, hello, 16 connections, seen in the process. */
const OVERHEAD_MS = 0.02
/** What a start is taken to cost before one was measured. Source: feasibility measurements, Node in a sandbox with load. */
const FIRST_START_MS = 60

/** All instances of one state of one function, the calls that wait for them, and what is measured about both. */
export class Crew {
  readonly version: FunctionVersion
  /** Whether no name leads to this state any more: nothing new is started once the waiting calls are served. */
  retired = false
  /** Most recently used first; starting ones at the end. */
  readonly instances: Instance[] = []
  readonly waiting: Call[] = []
  readonly #service = new Durations()
  readonly #starts = new Durations()
  readonly #wakeMs: number
  readonly #clock: () => number

  /** @param wakeMs What waking an idle instance is taken to cost, milliseconds. */
  constructor(version: FunctionVersion, wakeMs: number, clock: () => number) {
    this.version = version
    this.#wakeMs = wakeMs
    this.#clock = clock
  }

  get costs(): Costs {
    const serviceMs = this.#service.estimateMs
    return {
      serviceMs: serviceMs === undefined ? undefined : serviceMs + OVERHEAD_MS,
      wakeMs: this.#wakeMs,
      startMs: this.#starts.estimateMs ?? FIRST_START_MS,
    }
  }

  get empty(): boolean {
    return this.instances.length === 0 && this.waiting.length === 0
  }

  get starting(): number {
    return this.instances.filter(({ state }) => state === 'starting' || state === 'initialising').length
  }

  /** Whether calls wait or were delivered ahead, so that {@link reconsider} has something to look at. */
  get unsettled(): boolean {
    return this.waiting.length > 0 || this.instances.some((instance) => instance.ahead > 0)
  }

  /** Places a call: into an instance, or at the end of the queue. */
  place(call: Call): void {
    if (this.waiting.length === 0 && this.#deliver(call)) return
    this.waiting.push(call)
  }

  /** Gives waiting calls to whoever has room. */
  feed(): void {
    for (let call = this.waiting[0]; call !== undefined; call = this.waiting[0]) {
      if (!this.#deliver(call)) return
      this.waiting.shift()
    }
  }

  /** Whether another instance should be started now. */
  get wantsStart(): boolean {
    const [oldest] = this.waiting
    if (oldest === undefined) return false
    const starting = this.starting
    return wantsStart(
      {
        waiting: this.waiting.length,
        oldestWaitMs: this.#clock() - oldest.enteredAtMs,
        startingInstances: starting,
        readyInstances: this.instances.filter(({ ready }) => ready).length,
      },
      this.version.instanceConcurrency,
      this.costs,
    )
  }

  joined(instance: Instance): void {
    this.instances.push(instance)
  }

  becameReady(instance: Instance): void {
    this.#starts.add(instance.readyAfterMs)
    this.feed()
  }

  answered(durationMs: number): void {
    this.#service.add(durationMs)
    if (this.waiting.length > 0) this.feed()
  }

  /** Takes back what is held behind a late call and places it anew: the hold check of `README.md`. */
  reconsider(): void {
    const now = this.#clock()
    const { instanceConcurrency } = this.version
    const { costs } = this
    for (const instance of [...this.instances]) {
      if (instance.ahead === 0) continue
      const idleElsewhere = this.instances.some((other) => other !== instance && other.state === 'idle')
      if (heldTooLong(instance, instanceConcurrency, costs, idleElsewhere, now))
        this.waiting.unshift(...instance.takeBack())
    }
    this.feed()
  }

  /** An instance is gone: its unbegun calls go to the front of the queue, a failed start is told to the call that wanted it. */
  left(instance: Instance, ending: InstanceEnding, notBegun: readonly Call[]): void {
    const index = this.instances.indexOf(instance)
    if (index >= 0) this.instances.splice(index, 1)
    const again = notBegun.filter((call) => {
      call.redeliveries += 1
      if (call.redeliveries <= MAX_REDELIVERIES) return true
      call.refuse(new EngineError('platform/no-capacity', { waitedMs: this.#clock() - call.enteredAtMs }))
      return false
    })
    this.waiting.unshift(...again)
    if (ending.kind === 'start-failed')
      this.waiting.shift()?.refuse(new EngineError('platform/start-failed', { reason: ending.reason }))
    if (ending.kind === 'init-failed') {
      const call = this.waiting.shift()
      if (call === undefined) return
      for (const text of instance.takeStartLog()) call.log.append(text)
      const tookMs = this.#clock() - instance.startedAtMs
      call.coldStart = true
      call.initDurationMs = tookMs
      call.settle(ending.failure, {
        instanceId: instance.id,
        durationMs: tookMs,
        maxMemoryBytes: instance.lastMemoryBytes,
      })
    }
  }

  /** Takes a waiting call out, because its caller hung up; false when it waits no more. */
  forget(call: Call): boolean {
    const index = this.waiting.indexOf(call)
    if (index < 0) return false
    this.waiting.splice(index, 1)
    return true
  }

  #deliver(call: Call): boolean {
    const now = this.#clock()
    const index = chooseSeat(this.instances, this.version.instanceConcurrency, this.costs, now)
    const instance = this.instances[index]
    if (instance === undefined) return false
    if (index > 0) {
      this.instances.splice(index, 1)
      this.instances.unshift(instance)
    }
    if (!instance.used && call.enteredAtMs < instance.startedAtMs + instance.readyAfterMs) {
      call.coldStart = true
      call.initDurationMs = instance.readyAfterMs
    }
    instance.deliver(call)
    return true
  }
}
