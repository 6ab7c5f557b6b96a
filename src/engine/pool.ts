import { randomUUID } from 'node:crypto'
import type { HandlerContract } from '../contracts/contract.ts'
import { EngineError } from '../model/errors.ts'
import type { FunctionVersion } from '../model/function.ts'
import type { Call } from './call.ts'
import { Crew } from './crew.ts'
import { Instance, type InstanceEnding, type InstanceRoom, type LaunchPlan } from './instance.ts'

export interface PoolLimits {
  /** Instances of all functions together. */
  readonly maxInstances: number
  /** Instances of one state of one function. */
  readonly maxInstancesPerFunction: number
  /** Instances being started at the same time: more only make each other late. */
  readonly maxConcurrentStarts: number
  /** Sum of the configured memory of all instances, MiB. */
  readonly memoryBudgetMib: number
  /** An instance without calls ends after this. */
  readonly idleTimeoutMs: number
  /** A call that found no instance for this long is refused. */
  readonly queueTimeoutMs: number
}

/** What the pool tells the operator's log and metrics. Must not throw. */
export interface PoolObserver {
  instanceStarted(instance: Instance): void
  instanceEnded(instance: Instance, ending: InstanceEnding): void
}

/** How often idle instances and waiting calls are looked at. */
const SWEEP_MS = 250
/** How often calls held behind others are looked at, while there are any. */
const HOLD_CHECK_MS = 3
/**
 * What waking an idle process is taken to cost beside another that is running: a switch of context, cold caches, and the
 * loss of one write for many calls. Measured with `npm run bench`, hello at 16 connections: below 0.5 ms calls spread over
 * processes that all wait for the same two cores, above 2 ms nothing more is gained.
 */
const WAKE_MS = 1

/**
 * All instances of the server: starts them within the host's limits, evicts idle ones, drains those whose version was
 * replaced, and ends everything when the server goes down.
 */
export class Pool {
  readonly #room: InstanceRoom
  readonly #limits: PoolLimits
  readonly #launch: (version: FunctionVersion, instanceId: string) => LaunchPlan
  readonly #observer: PoolObserver
  readonly #crews = new Map<string, Crew>()
  /** Crews whose calls wait or were delivered ahead. */
  readonly #unsettled = new Set<Crew>()
  readonly #live = new Set<Instance>()
  readonly #collected: Instance[] = []
  readonly #sweep: NodeJS.Timeout
  #holdCheck: NodeJS.Timeout | undefined
  #reservedMib = 0
  #starting = 0
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
    this.#sweep = setInterval(() => this.#look(), SWEEP_MS)
    this.#sweep.unref()
  }

  get instances(): ReadonlySet<Instance> {
    return this.#live
  }

  /** Runs a call: settles it sooner or later, whatever happens. */
  run(call: Call): void {
    const crew = this.#crewOf(call.version)
    if (call.caller.gone) {
      call.refuse(new EngineError('caller/gone', {}))
      return
    }
    call.caller.onGone = () => {
      if (crew.forget(call)) call.refuse(new EngineError('caller/gone', {}))
    }
    crew.place(call)
    if (crew.waiting.length > 0) {
      this.#watch(crew)
      this.#startFor(crew)
    } else if (crew.instances[0]?.ahead !== 0) this.#watch(crew)
  }

  /** The states no name leads to any more: their instances finish what they have and end. */
  retire(stateIds: readonly string[]): void {
    for (const id of stateIds) {
      const crew = this.#crews.get(id)
      if (crew === undefined) continue
      crew.retired = true
      if (crew.waiting.length === 0) for (const instance of [...crew.instances]) instance.drain()
      this.#dropIfEmpty(crew)
    }
  }

  /**
   * Ends everything: calls that run get `graceMs` to finish, what remains is killed.
   * Resolves when no process of any instance runs.
   */
  async close(graceMs: number): Promise<void> {
    this.#closing = true
    clearInterval(this.#sweep)
    clearTimeout(this.#holdCheck)
    const gone = [...this.#live].map((instance) => instance.gone)
    for (const crew of this.#crews.values()) {
      for (const call of crew.waiting.splice(0)) call.refuse(new EngineError('platform/draining', {}))
      for (const instance of [...crew.instances]) {
        if (instance.ready) instance.drain()
        else instance.kill()
      }
    }
    const killTimer = setTimeout(() => {
      for (const instance of this.#live) instance.kill()
    }, graceMs)
    await Promise.all(gone)
    clearTimeout(killTimer)
  }

  #crewOf(version: FunctionVersion): Crew {
    let crew = this.#crews.get(version.id)
    if (crew === undefined) {
      crew = new Crew(version, WAKE_MS, this.#room.clock)
      this.#crews.set(version.id, crew)
    }
    return crew
  }

  /** Starts as many instances as the crew wants and the host allows. */
  #startFor(crew: Crew): void {
    while (!this.#closing && crew.wantsStart) {
      const [wantedBy] = crew.waiting
      if (wantedBy === undefined || !this.#mayStart(crew)) return
      try {
        this.#start(crew, wantedBy)
      } catch (error) {
        crew.waiting.shift()
        wantedBy.refuse(
          error instanceof EngineError
            ? error
            : new EngineError('platform/start-failed', { reason: String(error) }, { cause: error }),
        )
      }
    }
  }

  #mayStart(crew: Crew): boolean {
    if (this.#starting >= this.#limits.maxConcurrentStarts) return false
    if (crew.instances.length >= this.#limits.maxInstancesPerFunction) return false
    return this.#makeRoom(crew.version.memoryMib)
  }

  /** Evicts idle instances, longest idle first, until one of `memoryMib` fits. */
  #makeRoom(memoryMib: number): boolean {
    const fits = (): boolean =>
      this.#live.size < this.#limits.maxInstances &&
      this.#reservedMib + memoryMib <= this.#limits.memoryBudgetMib
    if (fits()) return true
    const idle = [...this.#live]
      .filter(({ state }) => state === 'idle')
      .sort((a, b) => a.idleSinceMs - b.idleSinceMs)
    for (const instance of idle) {
      instance.evict()
      if (fits()) return true
    }
    return false
  }

  #start(crew: Crew, wantedBy: Call): void {
    const id = newInstanceId()
    const contract: HandlerContract = wantedBy.contract
    const plan = this.#launch(crew.version, id)
    this.#starting += 1
    let starting = true
    const started = (): void => {
      if (starting) this.#starting -= 1
      starting = false
    }
    const instance: Instance = new Instance(
      id,
      { requestId: wantedBy.request.requestId, version: crew.version },
      contract,
      plan,
      this.#room,
      {
        onReady: () => {
          started()
          crew.becameReady(instance)
          if (crew.retired && crew.waiting.length === 0) instance.drain()
          this.#startPending()
        },
        onAnswered: (_, call, durationMs) => {
          call.caller.onGone = undefined
          crew.answered(durationMs)
          if (crew.retired && crew.waiting.length === 0) instance.drain()
        },
        onCollected: () => this.#collect(instance),
        onDead: (_, ending, notBegun) => {
          started()
          this.#live.delete(instance)
          this.#reservedMib -= crew.version.memoryMib
          crew.left(instance, this.#closing ? { kind: 'killed' } : ending, notBegun)
          this.#observer.instanceEnded(instance, ending)
          this.#afterDeath(crew)
        },
      },
    )
    this.#live.add(instance)
    this.#reservedMib += crew.version.memoryMib
    crew.joined(instance)
    this.#observer.instanceStarted(instance)
  }

  #afterDeath(crew: Crew): void {
    if (this.#closing) {
      for (const call of crew.waiting.splice(0)) call.refuse(new EngineError('platform/draining', {}))
      return
    }
    crew.feed()
    this.#startPending()
    this.#dropIfEmpty(crew)
  }

  /** A place became free: whoever waits for one gets it. */
  #startPending(): void {
    for (const crew of this.#unsettled) {
      if (this.#starting >= this.#limits.maxConcurrentStarts) return
      if (crew.waiting.length > 0) this.#startFor(crew)
    }
  }

  #dropIfEmpty(crew: Crew): void {
    if (!crew.empty) return
    this.#crews.delete(crew.version.id)
    this.#unsettled.delete(crew)
  }

  #collect(instance: Instance): void {
    if (this.#collected.length === 0) setImmediate(() => this.#flush())
    if (this.#collected.at(-1) !== instance) this.#collected.push(instance)
  }

  #flush(): void {
    for (const instance of this.#collected.splice(0)) instance.flush()
  }

  #watch(crew: Crew): void {
    this.#unsettled.add(crew)
    if (this.#holdCheck !== undefined || this.#closing) return
    this.#holdCheck = setTimeout(() => this.#checkHolds(), HOLD_CHECK_MS)
  }

  #checkHolds(): void {
    this.#holdCheck = undefined
    for (const crew of this.#unsettled) {
      if (crew.unsettled) {
        crew.reconsider()
        this.#startFor(crew)
      } else this.#unsettled.delete(crew)
    }
    if (this.#unsettled.size > 0 && !this.#closing)
      this.#holdCheck = setTimeout(() => this.#checkHolds(), HOLD_CHECK_MS)
  }

  #look(): void {
    const now = this.#room.clock()
    for (const instance of this.#live) {
      if (instance.state === 'idle' && now - instance.idleSinceMs > this.#limits.idleTimeoutMs)
        instance.evict()
    }
    for (const crew of this.#crews.values()) {
      for (let call = crew.waiting[0]; call !== undefined; call = crew.waiting[0]) {
        const waitedMs = now - call.enteredAtMs
        if (waitedMs < this.#limits.queueTimeoutMs) break
        crew.waiting.shift()
        call.refuse(new EngineError('platform/no-capacity', { waitedMs }))
      }
      this.#dropIfEmpty(crew)
    }
  }
}

/** `c-` and 28 hexadecimal digits in three groups: short enough for a log line, unique for ever. */
function newInstanceId(): string {
  const hex = randomUUID().replaceAll('-', '')
  return `c-${hex.slice(0, 8)}-${hex.slice(8, 16)}-${hex.slice(16, 28)}`
}
