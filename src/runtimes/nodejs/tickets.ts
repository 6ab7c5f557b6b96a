import fs from 'node:fs'
import { TICKETS_FD } from './frames.ts'

const NONE = 0

/** The read side of the ticket book: every byte is the right to start one call of the epoch it names. */
export class TicketBook {
  readonly #byte = Buffer.allocUnsafeSlow(1)
  /** A ticket that was read for a call of another epoch. */
  #kept = NONE

  /** True when the call at the head may start; false when it was revoked. */
  take(epoch: number): boolean {
    const ticket = this.#kept === NONE ? this.#read() : this.#kept
    if (ticket === epoch) {
      this.#kept = NONE
      return true
    }
    this.#kept = ticket
    return false
  }

  #read(): number {
    // Position null reads from the shared offset and moves it, under the kernel's lock.
    const bytes = fs.readSync(TICKETS_FD, this.#byte, 0, 1, null)
    return bytes === 1 ? (this.#byte[0] ?? NONE) : NONE
  }
}
