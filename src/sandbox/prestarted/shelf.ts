import type { Stem } from './stem.ts'
import type { StemClass } from './stem-class.ts'

/** Pauses after a process that ended before anybody wanted it, doubled each time. */
const FIRST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 60_000

/** The processes of one class that are nobody's yet, the oldest first. */
export class Shelf {
  readonly stemClass: StemClass
  readonly #stems: Stem[] = []
  #failures = 0
  #notBeforeMs = 0

  constructor(stemClass: StemClass) {
    this.stemClass = stemClass
  }

  get stems(): readonly Stem[] {
    return this.#stems
  }

  /** How long no process is to be started, milliseconds; 0: one may be. */
  get restMs(): number {
    return Math.max(0, this.#notBeforeMs - performance.now())
  }

  /** @param onLost Told when it ends while it is here. */
  put(stem: Stem, onLost: () => void): void {
    this.#stems.push(stem)
    void stem.process.exited.then(() => {
      if (!this.takeOut(stem)) return
      this.failed()
      onLost()
    })
  }

  /** A process could not be started, or has ended by itself. */
  failed(): void {
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, LONGEST_PAUSE_MS)
    this.#failures += 1
    this.#notBeforeMs = performance.now() + pauseMs
  }

  /**
   * The process that comes first. One that is still starting is further than one that would be started now; but where processes have
   * failed, only one that has greeted is trusted.
   */
  get first(): Stem | undefined {
    const ready = this.#stems.find(({ isReady }) => isReady)
    return ready ?? (this.#failures === 0 ? this.#stems.find(({ isStarting }) => isStarting) : undefined)
  }

  /** It is somebody's now: what becomes of it says nothing about the class. */
  takeOut(stem: Stem): boolean {
    const index = this.#stems.indexOf(stem)
    if (index < 0) return false
    if (stem.isReady) this.#failures = 0
    this.#stems.splice(index, 1)
    return true
  }

  /** Ends the youngest beyond `count`. */
  shrinkTo(count: number): void {
    for (const stem of this.#stems.splice(count)) stem.discard()
  }
}
