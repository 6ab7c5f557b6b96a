import { EngineError } from '../model/errors.ts'
import type { FunctionVersion } from '../model/function.ts'
import type { Caller } from '../model/invocation.ts'
import type { Call } from './call.ts'
import { Durations } from './durations.ts'
import type { Instance } from './instance.ts'
import type { InstanceEnding } from './instance-ending.ts'
import { beginsTooLate, chooseSeat, heldTooLong, wantsStart, type Costs } from './placement.ts'

/** A call that was taken back unbegun this often from instances that ended is refused. */
const MAX_REDELIVERIES = 50
/** One that was taken back this often from processes that did not begin it at once is refused, too. */
const MAX_SILENCES = 16
/** An idle instance that shows no sign of life for longer is ended. */
const LONGEST_SILENCE_MS = 5000
/** Bootstrap and channel work around one call, milliseconds. A rough allowance, so that no call counts as free. */
const OVERHEAD_MS = 0.02
/** What a start is taken to cost before one was measured: about a first call of `npm run bench`. */
const FIRST_START_MS = 60

/** How many instances are ready, busy ones among them, how many are on their way to it, and how many about to be dead. */
export interface Standing {
  readonly ready: number
  /** Of those that are ready, how many are too old to stay. */
  readonly old: number
  readonly starting: number
  readonly leaving: number
}

/** All instances of one state of one function, the calls that wait for them, and what is measured about both. */
export class Crew {
  readonly version: FunctionVersion
  /** Whether no name leads to this state any more: nothing new is started once the waiting calls are served. */
  retired = false
  /** Number of its last start among all starts of the server: who waits for a start takes turns by it. */
  lastStart = 0
  /** Most recently used first; starting ones at the end. */
  readonly instances: Instance[] = []
  readonly waiting: Call[] = []
  readonly #service = new Durations()
  readonly #starts = new Durations()
  /** Since when there is a ready instance. */
  #readySinceMs = -Infinity
  readonly #wakeMs: number
  readonly #maxAgeMs: number
  readonly #clock: () => number

  /**
   * @param costs.wakeMs What waking an idle instance is taken to cost, milliseconds.
   * @param costs.maxAgeMs Instances are too old to stay after this.
   */
  constructor(
    version: FunctionVersion,
    { wakeMs, maxAgeMs }: { readonly wakeMs: number; readonly maxAgeMs: number },
    clock: () => number,
  ) {
    this.version = version
    this.#wakeMs = wakeMs
    this.#maxAgeMs = maxAgeMs
    this.#clock = clock
  }

  get costs(): Costs {
    const { estimateMs, meanMs } = this.#service
    return {
      serviceMs: estimateMs === undefined ? undefined : estimateMs + OVERHEAD_MS,
      meanServiceMs: meanMs === undefined ? undefined : meanMs + OVERHEAD_MS,
      wakeMs: this.#wakeMs,
      startMs: this.#starts.estimateMs ?? FIRST_START_MS,
    }
  }

  get standing(): Standing {
    const oldest = this.#clock() - this.#maxAgeMs
    let [ready, old, starting, leaving] = [0, 0, 0, 0]
    for (const instance of this.instances) {
      if (instance.state === 'starting' || instance.state === 'initialising') starting += 1
      else if (instance.ready) {
        ready += 1
        if (instance.startedAtMs < oldest) old += 1
      } else if (instance.leaving) leaving += 1
    }
    return { ready, old, starting, leaving }
  }

  get empty(): boolean {
    return this.instances.length === 0 && this.waiting.length === 0
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

  /**
   * Drains the instances that are too old to stay. As many ready ones as are kept wait for their replacements to be ready,
   * but no longer than `graceMs`: there may be no room for another.
   */
  drainOld(kept: number, graceMs: number): void {
    const oldest = this.#clock() - this.#maxAgeMs
    let spare = this.standing.ready - kept
    for (const instance of [...this.instances]) {
      if (!instance.ready || instance.startedAtMs >= oldest) continue
      if (spare <= 0 && instance.startedAtMs >= oldest - graceMs) continue
      spare -= 1
      instance.drain()
    }
  }

  /** Gives waiting calls to whoever has room. */
  feed(): void {
    for (let call = this.waiting[0]; call !== undefined; call = this.waiting[0]) {
      if (call.caller.gone) call.refuse(new EngineError('caller/gone', {}))
      else if (!this.#deliver(call)) return
      this.waiting.shift()
    }
  }

  /** The waiting call that another instance should be started for now: the first that no starting one will serve. */
  get wantsStartFor(): Call | undefined {
    if (this.waiting.length === 0) return undefined
    const { starting: startingInstances, ready: readyInstances } = this.standing
    const { instanceConcurrency } = this.version
    const unserved = this.waiting[startingInstances * instanceConcurrency]
    if (unserved === undefined) return undefined
    const now = this.#clock()
    const queue = {
      waiting: this.waiting.length,
      oldestWaitMs: now - Math.max(unserved.enteredAtMs, this.#readySinceMs),
      startingInstances,
      readyInstances,
      runningForMs: Math.max(0, ...this.instances.map((instance) => instance.runningForMs(now))),
    }
    return wantsStart(queue, instanceConcurrency, this.costs) ? unserved : undefined
  }

  /**
   * Ends idle instances that have been silent for long: they cannot be frozen, as a frozen one could show no sign of life, and
   * must not compute on between calls.
   */
  endSilent(): void {
    const now = this.#clock()
    const limitMs = Math.max(LONGEST_SILENCE_MS, this.costs.startMs)
    for (const instance of [...this.instances]) {
      if (instance.state !== 'idle' || instance.silentForMs(now) <= limitMs) continue
      instance.listen(now)
      if (instance.silentForMs(now) > 0) instance.disown()
    }
  }

  /** An idle instance that has been silent for longer than a start takes: its place is better given to another. */
  get silent(): Instance | undefined {
    const { startMs } = this.costs
    const now = this.#clock()
    return this.instances.find((one) => one.state === 'idle' && one.silentForMs(now) > startMs)
  }

  /** Idle instances that may end so that still `kept` are ready: those idle longest, and all that are not ready. */
  idleBeyond(kept: number): readonly Instance[] {
    let spare = this.standing.ready - kept
    return this.instances
      .filter(({ state }) => state === 'idle')
      .sort((a, b) => a.idleSinceMs - b.idleSinceMs)
      .filter(({ ready }) => !ready || (spare -= 1) >= 0)
  }

  joined(instance: Instance): void {
    this.instances.push(instance)
  }

  becameReady(instance: Instance): void {
    this.#starts.add(instance.readyAfterMs)
    if (this.standing.ready === 1) this.#readySinceMs = this.#clock()
    this.feed()
  }

  answered(durationMs: number): void {
    this.#service.add(durationMs)
    if (this.waiting.length > 0) this.feed()
  }

  /** Takes back what is held behind a late call and places it anew: the hold check of `README.md`. */
  reconsider(): void {
    const now = this.#clock()
    const { costs } = this
    let idleElsewhere = this.#hasIdle
    for (const instance of [...this.instances]) {
      instance.listen(now)
      if (!heldTooLong(instance, this.version.instanceConcurrency, costs, idleElsewhere, now)) continue
      this.#takeBack(instance)
      this.feed()
      idleElsewhere = this.#hasIdle
    }
    this.feed()
  }

  /** Takes back calls that should have begun long ago and have not: the silence check of `README.md`. */
  proveBegun(): void {
    const now = this.#clock()
    const { costs } = this
    for (const instance of [...this.instances])
      if (beginsTooLate(instance.unprovenForMs(now), costs)) this.#takeBack(instance)
    this.feed()
  }

  /**
   * An instance is gone: its unbegun calls go to the front of the queue, a failed start is told to the call that wanted it,
   * or, when there is none or it was served elsewhere, to the first that waits: so starts that always fail come to an end.
   */
  left(
    instance: Instance,
    ending: InstanceEnding,
    notBegun: readonly Call[],
    wantedBy: Call | undefined,
  ): void {
    const index = this.instances.indexOf(instance)
    if (index >= 0) this.instances.splice(index, 1)
    this.#putBack(notBegun.filter((call) => !this.#isLost(call, MAX_REDELIVERIES)))
    if (ending.kind !== 'start-failed' && ending.kind !== 'init-failed') return
    const call = wantedBy !== undefined && this.forget(wantedBy) ? wantedBy : this.waiting.shift()
    if (call === undefined) return
    if (ending.kind === 'start-failed') {
      call.refuse(new EngineError('platform/start-failed', { reason: ending.reason }))
      return
    }
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

  /** Takes a waiting call out, because its caller hung up; false when it waits no more. */
  forget(call: Call): boolean {
    const index = this.waiting.indexOf(call)
    if (index < 0) return false
    this.waiting.splice(index, 1)
    return true
  }

  /**
   * Ends the call of this caller: one that has not begun alone and at once, one that has with the instance that runs it, which
   * gets `graceMs` to finish. False when it has no call here.
   */
  terminate(caller: Caller, graceMs: number): boolean {
    if (this.#terminateWaiting(caller)) return true
    const instance = this.instances.find((one) => one.holds(caller))
    if (instance === undefined) return false
    this.#takeBack(instance)
    const hasBegun = instance.holds(caller)
    const wasWaiting = this.#terminateWaiting(caller)
    if (hasBegun) instance.terminate(caller, graceMs)
    this.feed()
    return hasBegun || wasWaiting
  }

  #terminateWaiting(caller: Caller): boolean {
    const call = this.waiting.find((waiting) => waiting.caller === caller)
    if (call === undefined || !this.forget(call)) return false
    call.settle({ kind: 'terminated' }, { instanceId: '', durationMs: 0, maxMemoryBytes: 0 })
    return true
  }

  /** Refuses the calls that have waited for longer than `limitMs`. */
  refuseLate(limitMs: number): void {
    const now = this.#clock()
    for (let call = this.waiting[0]; call !== undefined; call = this.waiting[0]) {
      const waitedMs = now - call.enteredAtMs
      if (waitedMs < limitMs) return
      this.waiting.shift()
      call.refuse(new EngineError('platform/no-capacity', { waitedMs }))
    }
  }

  /** Refuses all that wait: the server goes down. */
  refuseAll(): void {
    this.refuseWaiting(new EngineError('platform/draining', {}))
  }

  /** Refuses all that wait, each with this error. */
  refuseWaiting(error: EngineError): void {
    for (const call of this.waiting.splice(0)) call.refuse(error)
  }

  get #hasIdle(): boolean {
    return this.instances.some(({ state, ready }) => ready && state === 'idle')
  }

  #takeBack(instance: Instance): void {
    const notBegun = instance.takeBack()
    // Code can move the ticket book's offset, so that what it runs seems not to have begun and its process to live: for ever.
    const disowned = notBegun.filter((call) => call.runningSinceMs !== 0 && this.#isLost(call, MAX_SILENCES))
    this.#putBack(notBegun)
    if (disowned.length > 0) instance.disown()
    else if (instance.state === 'draining') instance.drain()
  }

  /** Counts one more instance, or silence of one, that it did not begin in. @returns Whether it was refused for that. */
  #isLost(call: Call, most: number): boolean {
    call.redeliveries += 1
    if (call.redeliveries <= most) return false
    call.refuse(new EngineError('platform/no-capacity', { waitedMs: this.#clock() - call.enteredAtMs }))
    return true
  }

  /** Puts calls that have not begun before those that came later; whose caller hung up in the meantime waits no more. */
  #putBack(calls: readonly Call[]): void {
    if (calls.length === 0) return
    const wanted = calls.filter((call) => {
      if (call.caller.gone) call.refuse(new EngineError('caller/gone', {}))
      return !call.settled
    })
    const later = this.waiting[0]
    this.waiting.unshift(...wanted)
    const last = wanted.at(-1)
    if (later !== undefined && last !== undefined && last.enteredAtMs > later.enteredAtMs)
      this.waiting.sort((a, b) => a.enteredAtMs - b.enteredAtMs)
  }

  #deliver(call: Call): boolean {
    const [first] = this.instances
    const { instanceConcurrency } = this.version
    // The choice where nothing has to be weighed: most calls find the instance of the call before idle.
    const beginsAtOnce = first !== undefined && first.delivered < instanceConcurrency && first.hasRoom
    const index = beginsAtOnce
      ? 0
      : chooseSeat(this.instances, instanceConcurrency, this.costs, this.#clock())
    const instance = this.instances[index]
    if (instance === undefined) return false
    if (index > 0) {
      this.instances.splice(index, 1)
      this.instances.unshift(instance)
    }
    call.coldStart = call.enteredAtMs < instance.startedAtMs + instance.readyAfterMs
    call.initDurationMs = call.coldStart ? instance.readyAfterMs : 0
    instance.deliver(call)
    return true
  }
}
