import { randomUUID } from 'node:crypto'
import type { HandlerContract } from '../contracts/contract.ts'
import { EngineError } from '../model/errors.ts'
import type { FunctionVersion } from '../model/function.ts'
import type { Caller } from '../model/invocation.ts'
import type { Call } from './call.ts'
import { Capacity } from './capacity.ts'
import { Collected } from './collected.ts'
import { Crew, type Standing } from './crew.ts'
import type { InstanceRoom, LaunchPlan } from './instance-setup.ts'
import { Instance } from './instance.ts'
import type { FunctionState, Keeper, PoolLimits, PoolObserver } from './pool-setup.ts'

/** How often idle instances, waiting calls and calls that should have begun are looked at. */
const SWEEP_MS = 250
/** How often calls held behind others are looked at, while there are any. */
const HOLD_CHECK_MS = 3
/**
 * What waking an idle process is taken to cost beside another that is running: a switch of context, cold caches, and the
 * loss of one write for many calls. A choice, not a measurement: well above a hello call (0.02 ms), well below what a caller notices.
 */
const WAKE_MS = 1

/** A kept instance that is too old waits this long for the one that replaces it. */
const REPLACEMENT_MS = 300_000

/**
 * All instances of the server: starts them within the host's limits, evicts idle ones, drains those whose version was
 * replaced, and ends everything when the server goes down.
 */
export class Pool {
  /** Decides which instances are kept ready. Default: none are. */
  keeper: Keeper | undefined
  readonly #room: InstanceRoom
  readonly #limits: PoolLimits
  readonly #launch: (version: FunctionVersion, instanceId: string) => LaunchPlan
  readonly #observer: PoolObserver
  readonly #crews = new Map<string, Crew>()
  /** Crews whose calls wait or were delivered ahead. */
  readonly #unsettled = new Set<Crew>()
  readonly #capacity: Capacity
  readonly #live = new Set<Instance>()
  /** Dead, and something of them still runs. */
  readonly #leaving = new Set<Instance>()
  readonly #collected = new Collected()
  /** States whose memory can never be had, as far as the observer was told. */
  readonly #beyondMemory = new Set<string>()
  readonly #sweep: NodeJS.Timeout
  #holdCheck: NodeJS.Timeout | undefined
  /** All starts so far. */
  #starts = 0
  #closing = false

  /** @param launch Says how to start an instance of a version. @throws {EngineError} `caller/runtime-missing` */
  constructor(
    room: InstanceRoom,
    limits: PoolLimits,
    launch: (version: FunctionVersion, instanceId: string) => LaunchPlan,
    observer: PoolObserver,
  ) {
    this.#room = room
    this.#limits = limits
    this.#launch = launch
    this.#observer = observer
    this.#capacity = new Capacity({
      limits,
      crews: this.#crews,
      keptOf: (stateId) => this.#keptOf(stateId),
    })
    this.#sweep = setInterval(() => this.#look(), SWEEP_MS)
    this.#sweep.unref()
  }

  get instances(): ReadonlySet<Instance> {
    return this.#live
  }

  /** What instances run or waiting calls will run, whether or not a name still leads to it. */
  get versionsInUse(): readonly FunctionVersion[] {
    const crews = [...this.#crews.values()].map(({ version }) => version)
    return [...crews, ...[...this.#leaving].map(({ version }) => version)]
  }

  /** Runs a call: settles it sooner or later, whatever happens. */
  run(call: Call): void {
    if (this.#closing || call.caller.gone) {
      call.refuse(new EngineError(this.#closing ? 'platform/draining' : 'caller/gone', {}))
      return
    }
    if (!this.expect(call.version)) {
      const details = { neededMib: call.version.memoryMib, availableMib: this.#limits.memoryBudgetMib }
      call.refuse(new EngineError('caller/memory-unavailable', details))
      return
    }
    const crew = this.#crewOf(call.version)
    crew.place(call)
    if (crew.waiting.length > 0) {
      if (crew.waiting.at(-1) === call) this.#awaitHangUp(crew, call)
      this.#watch(crew)
      this.#startFor(crew)
    } else if (crew.instances[0]?.ahead !== 0) this.#watch(crew)
  }

  /**
   * A state was deployed or is called: tells the observer, once, when its memory can never be had.
   *
   * @returns Whether it can.
   */
  expect(state: FunctionState): boolean {
    if (this.#capacity.canEverHave(state)) return true
    if (!this.#beyondMemory.has(state.id)) {
      this.#beyondMemory.add(state.id)
      this.#observer.memoryUnavailable(state, this.#limits.memoryBudgetMib)
    }
    return false
  }

  /**
   * Ends the call of this caller, one that runs after `graceMs` at the latest; false when there is none. Looks at every call there is,
   * so that no call pays for being found.
   */
  terminate(caller: Caller, graceMs = 0): boolean {
    for (const crew of this.#crews.values()) {
      if (!crew.terminate(caller, graceMs)) continue
      if (crew.waiting.length > 0) this.#watch(crew)
      this.#drainIfRetired(crew)
      this.#dropIfEmpty(crew)
      return true
    }
    return false
  }

  /** What became of the instances of a state. */
  standing(stateId: string): Standing {
    return this.#crews.get(stateId)?.standing ?? { ready: 0, old: 0, starting: 0, leaving: 0 }
  }

  /**
   * Starts an instance that no call asked for, if there is room for it beside the calls that wait.
   *
   * @returns Whether it was started.
   * @throws {EngineError} `caller/runtime-missing`, or whatever keeps it from being started.
   */
  startAhead(version: FunctionVersion, contract: HandlerContract): boolean {
    if (this.#closing || this.#callsWaitForRoom || this.#capacity.aheadStartsFull) return false
    const crew = this.#crewOf(version)
    try {
      if (crew.retired || !this.#capacity.makeRoomFor(crew)) return false
      this.#start(crew, contract, undefined)
      return true
    } finally {
      this.#dropIfEmpty(crew)
    }
  }

  /** The states no name leads to any more: their instances finish what they have and end. */
  retire(stateIds: readonly string[]): void {
    this.keeper?.release(stateIds)
    for (const id of stateIds) {
      this.#beyondMemory.delete(id)
      const crew = this.#crews.get(id)
      if (crew === undefined) continue
      crew.retired = true
      this.#drainIfRetired(crew)
      this.#dropIfEmpty(crew)
    }
  }

  /** Caps of functions were changed: instances beyond them finish what they have and end, the least used first. */
  applyCaps(): void {
    for (const crew of [...this.#crews.values()]) {
      const cap = this.#capacity.capOf(crew)
      if (cap === undefined) continue
      for (const instance of crew.instances.slice(cap)) instance.drain()
      if (crew.waiting.length > 0) this.#startFor(crew)
      this.#dropIfEmpty(crew)
    }
    // Where a cap was lifted, calls that wait may get their instance now.
    this.#startPending()
  }

  /**
   * Ends everything: calls that run get `graceMs` to finish, what remains is killed. Called again, the shorter grace holds.
   * Resolves when no process of any instance runs.
   */
  async close(graceMs: number): Promise<void> {
    this.#closing = true
    clearInterval(this.#sweep)
    clearTimeout(this.#holdCheck)
    for (const crew of this.#crews.values()) {
      crew.refuseAll()
      for (const instance of [...crew.instances]) {
        if (instance.state === 'starting' || instance.state === 'initialising') instance.kill()
        else instance.drain()
      }
    }
    const killTimer = setTimeout(() => {
      for (const instance of this.#live) instance.kill()
    }, graceMs)
    await Promise.all([...this.#live, ...this.#leaving].map((instance) => instance.gone))
    clearTimeout(killTimer)
  }

  /** A call that waits leaves the queue with its caller. One that was delivered at once costs no listener: it runs on. */
  #awaitHangUp(crew: Crew, call: Call): void {
    call.caller.onGone = () => {
      if (!crew.forget(call)) return
      call.refuse(new EngineError('caller/gone', {}))
      this.#drainIfRetired(crew)
    }
  }

  #crewOf(version: FunctionVersion): Crew {
    let crew = this.#crews.get(version.id)
    if (crew === undefined) {
      const { maxInstanceAgeMs: maxAgeMs = Infinity } = this.#limits
      crew = new Crew(version, { wakeMs: WAKE_MS, maxAgeMs }, this.#room.clock)
      this.#crews.set(version.id, crew)
    }
    return crew
  }

  /** Starts as many instances as the crew wants and the host allows. */
  #startFor(crew: Crew): void {
    while (!this.#closing) {
      const wantedBy = crew.wantsStartFor
      if (wantedBy === undefined) return
      const cap = this.#capacity.capOf(crew)
      if (cap === 0) {
        crew.refuseWaiting(new EngineError('caller/concurrency-exceeded', { scope: 'function', limit: 0 }))
        return
      }
      if (!this.#capacity.makeRoomFor(crew)) return
      try {
        this.#start(crew, wantedBy.contract, wantedBy)
      } catch (error) {
        crew.forget(wantedBy)
        wantedBy.refuse(
          error instanceof EngineError
            ? error
            : new EngineError('platform/start-failed', { reason: String(error) }, { cause: error }),
        )
      }
    }
  }

  /** Whether a call waits for a start that only the host's limits hold back. */
  get #callsWaitForRoom(): boolean {
    for (const crew of this.#unsettled)
      if (crew.wantsStartFor !== undefined && this.#capacity.hasPlace(crew)) return true
    return false
  }

  #keptOf(stateId: string): number {
    return this.keeper?.countOf(stateId) ?? 0
  }

  /** @param wantedBy Without one the start has a request id of its own. */
  #start(crew: Crew, contract: HandlerContract, wantedBy: Call | undefined): void {
    const id = newInstanceId()
    const plan = this.#launch(crew.version, id)
    let starting = true
    const started = (): void => {
      if (starting) this.#capacity.started()
      starting = false
    }
    const instance: Instance = new Instance(
      id,
      { requestId: wantedBy?.request.requestId ?? randomUUID(), version: crew.version },
      contract,
      plan,
      this.#room,
      {
        onReady: () => {
          started()
          crew.becameReady(instance)
          this.#drainIfRetired(crew)
          this.#useRoom()
        },
        onAnswered: (_, durationMs) => {
          crew.answered(durationMs)
          if (crew.retired) this.#drainIfRetired(crew)
        },
        onCollected: () => this.#collected.add(instance),
        onDead: (_, ending, notBegun) => {
          started()
          this.#live.delete(instance)
          this.#leaving.add(instance)
          void instance.gone.then(() => this.#leaving.delete(instance))
          this.#capacity.give(crew.version.memoryMib)
          crew.left(instance, this.#closing ? { kind: 'killed' } : ending, notBegun, wantedBy)
          this.#observer.instanceEnded(instance, ending)
          if (!this.#closing) this.keeper?.ended(instance, ending)
          this.#afterDeath(crew)
        },
      },
    )
    this.#capacity.take(crew.version.memoryMib)
    this.#starts += 1
    crew.lastStart = this.#starts
    this.#live.add(instance)
    crew.joined(instance)
    this.#observer.instanceStarted(instance)
  }

  #afterDeath(crew: Crew): void {
    if (this.#closing) {
      crew.refuseAll()
      return
    }
    crew.feed()
    if (crew.waiting.length > 0) this.#watch(crew)
    this.#drainIfRetired(crew)
    if (!this.#capacity.evicting) this.#useRoom()
    this.#dropIfEmpty(crew)
  }

  /** There may be room for a start: calls that wait come first. */
  #useRoom(): void {
    this.#startPending()
    this.keeper?.look()
  }

  /** A place became free: whoever waits for one gets it, first the crew whose last start was longest ago. */
  #startPending(): void {
    for (const crew of [...this.#unsettled].sort((a, b) => a.lastStart - b.lastStart)) {
      if (this.#capacity.startsFull) return
      if (crew.waiting.length > 0) this.#startFor(crew)
    }
  }

  #drainIfRetired(crew: Crew): void {
    if (!crew.retired || crew.waiting.length > 0) return
    for (const instance of [...crew.instances]) instance.drain()
  }

  #dropIfEmpty(crew: Crew): void {
    if (!crew.empty) return
    this.#crews.delete(crew.version.id)
    this.#unsettled.delete(crew)
  }

  #watch(crew: Crew): void {
    this.#unsettled.add(crew)
    if (this.#holdCheck !== undefined || this.#closing) return
    this.#holdCheck = setTimeout(() => this.#checkHolds(), HOLD_CHECK_MS)
  }

  #checkHolds(): void {
    this.#holdCheck = undefined
    for (const crew of this.#unsettled) {
      if (crew.unsettled) crew.reconsider()
      else this.#unsettled.delete(crew)
    }
    this.#startPending()
    if (this.#unsettled.size > 0 && !this.#closing)
      this.#holdCheck = setTimeout(() => this.#checkHolds(), HOLD_CHECK_MS)
  }

  #look(): void {
    const now = this.#room.clock()
    for (const crew of this.#crews.values()) {
      this.#endIdleAndOld(crew, now)
      crew.endSilent()
      for (const instance of crew.instances) instance.rest(now, this.#limits.freezeAfterMs ?? Infinity)
      crew.proveBegun()
      crew.refuseLate(this.#limits.queueTimeoutMs)
      if (crew.waiting.length > 0) this.#watch(crew)
      this.#drainIfRetired(crew)
      this.#dropIfEmpty(crew)
    }
    this.keeper?.look()
  }

  #endIdleAndOld(crew: Crew, now: number): void {
    for (const instance of this.#capacity.spareOf(crew))
      if (now - instance.idleSinceMs > this.#limits.idleTimeoutMs) instance.evict()
    crew.drainOld(this.#keptOf(crew.version.id), REPLACEMENT_MS)
  }
}

/** `c-` and 28 hexadecimal digits in three groups: short enough for a log line, unique for ever. */
function newInstanceId(): string {
  const hex = randomUUID().replaceAll('-', '')
  return `c-${hex.slice(0, 8)}-${hex.slice(8, 16)}-${hex.slice(16, 28)}`
}
