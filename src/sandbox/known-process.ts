import { startTimeOf } from './proc.ts'

/** A process that is no child of the server: another one may have its number as soon as it has ended, and numbers come again soon. */
export class KnownProcess {
  readonly pid: number
  /** Clock ticks after boot; undefined: it had ended. */
  readonly #startTime: string | undefined

  /**
   * @param pid Of a process that runs now, or else with
   * @param startTime What somebody read whom it could not leave meanwhile, clock ticks after boot; default what its number tells now.
   */
  constructor(pid: number, startTime?: number) {
    this.pid = pid
    this.#startTime = startTime === undefined ? startTimeOf(pid) : String(startTime)
  }

  /** Whether the number is still its own. Look before each signal: nothing else keeps it from reaching somebody else. */
  isStill(): boolean {
    return this.#startTime !== undefined && startTimeOf(this.pid) === this.#startTime
  }
}
