import { tellingOf, type CrashFunction, type Door, type Telling } from './functions.ts'
import { Random } from './random.ts'

/** What an asynchronous call is to be, before anything has happened. */
export interface PlannedCall {
  /** In its event: what runs are told from each other's by, also those of calls that nobody saw accepted. */
  readonly name: string
  readonly door: Door
  readonly target: CrashFunction
  readonly holdMs: number
  readonly tells: Telling | undefined
  /** When its end is asked for, milliseconds after it was accepted. */
  readonly stopAfterMs?: number
}

/** Share of calls that somebody stops. */
const STOPPED = { lingering: 0.6, others: 0.12 }

/** The call with a number, of a seed. */
export function plannedCall(seed: number, index: number, functions: readonly CrashFunction[]): PlannedCall {
  const random = new Random(seed, 'call', index)
  const target = random.pick(functions)
  const door = random.pick(target.doors.map((name) => ({ name, weight: 1 }))).name
  const [least, bound] = target.holdMs
  const holdMs = random.between(least, bound)
  const stopAfterMs = random.chance(target.lingers ? STOPPED.lingering : STOPPED.others)
    ? random.between(0, 1500)
    : undefined
  return {
    name: `c${index}`,
    door,
    target,
    holdMs,
    tells: tellingOf(target, door),
    ...(stopAfterMs === undefined ? {} : { stopAfterMs }),
  }
}

/** Something that is done to the server under load. `restart` is no kill. */
export interface Step {
  readonly what: 'server' | 'worker' | 'start-up' | 'stop' | 'restart'
  /** Milliseconds under load before it. */
  readonly afterMs: number
  /** `start-up`: how long a start gets. `stop`: how long after SIGTERM. */
  readonly momentMs: number
  /** Which of the processes that there are then, 0 ≤ x < 1. */
  readonly victim: number
}

const STEPS = [
  { what: 'server', weight: 40, afterMs: [50, 2000], momentMs: [0, 1] },
  { what: 'worker', weight: 35, afterMs: [20, 500], momentMs: [0, 1] },
  { what: 'start-up', weight: 10, afterMs: [50, 1000], momentMs: [0, 700] },
  { what: 'stop', weight: 10, afterMs: [50, 1000], momentMs: [0, 600] },
  { what: 'restart', weight: 5, afterMs: [50, 1000], momentMs: [0, 1] },
] as const

/** Each kind of step once, so that a short run has them all. */
const FIRST = ['server', 'worker', 'start-up', 'stop', 'restart', 'worker'] as const

/** The step with a number, of a seed. */
export function plannedStep(seed: number, index: number): Step {
  const random = new Random(seed, 'step', index)
  const drawn = random.pick(STEPS)
  const { what, afterMs, momentMs } = STEPS.find((step) => step.what === FIRST[index]) ?? drawn
  return {
    what,
    afterMs: random.between(afterMs[0], afterMs[1]),
    momentMs: random.between(momentMs[0], momentMs[1]),
    victim: random.next(),
  }
}
