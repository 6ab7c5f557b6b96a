import { ftruncateSync, readFileSync, readSync, writeSync } from 'node:fs'
import type { TicketFile } from '../sandbox/sandbox.ts'
import { closeTicketFile } from './ticket-file.ts'

/** Tickets kept ahead of deliveries: no more calls than this may be delivered and unanswered. */
export const TICKETS_AHEAD = 4096

const LAST_EPOCH = 255

/**
 * The file that decides which delivered calls have begun; `runtimes/protocol.md` tells why and how.
 *
 * Every byte is a ticket. Server and process read from one shared open file description, so the kernel gives each byte
 * to exactly one of them. The file lives in memory-backed storage: no call here waits for a disk.
 */
export class TicketBook {
  readonly #file: TicketFile
  readonly #page = Buffer.alloc(TICKETS_AHEAD)
  #end = 0
  #epochStart = 0
  #issuedInEpoch = 0
  #epoch = 1
  #closed = false

  /**
   * @param file Empty; from here on the book's, which closes it.
   * @throws When the file cannot be filled; it is closed then.
   */
  constructor(file: TicketFile) {
    this.#file = file
    this.#issue(TICKETS_AHEAD)
    if (this.#issuedInEpoch === TICKETS_AHEAD) return
    this.close()
    throw new Error('no room for a ticket book')
  }

  /** The descriptor to hand to the process as its descriptor 4. */
  get fd(): number {
    return this.#file.readFd
  }

  /** The epoch that calls delivered from now on belong to. */
  get epoch(): number {
    return this.#epoch
  }

  /**
   * Keeps the promise that there are always tickets for delivered calls.
   *
   * @param deliveredInEpoch Calls delivered since the epoch began.
   */
  provideFor(deliveredInEpoch: number): void {
    if (deliveredInEpoch + TICKETS_AHEAD / 2 > this.#issuedInEpoch) this.#issue(TICKETS_AHEAD)
  }

  /**
   * Takes every remaining ticket back and begins the next epoch.
   *
   * @returns How many calls of the old epoch have begun; those after them never will.
   */
  revoke(): number {
    if (this.#closed) return 0
    const begun = this.#readRest()
    this.#epoch = this.#epoch === LAST_EPOCH ? 1 : this.#epoch + 1
    this.#issuedInEpoch = 0
    this.#epochStart = this.#end
    // Everything up to #end is read, by one side or the other: give the memory back, keep the offset.
    ftruncateSync(this.#file.writeFd, 0)
    this.#issue(TICKETS_AHEAD)
    return begun
  }

  /**
   * Tickets taken in this epoch, looked at without taking any; undefined where the kernel does not tell. A file of `/proc`
   * is read for it: for rare use.
   */
  taken(): number | undefined {
    if (this.#closed) return undefined
    try {
      const position = /^pos:\s*(\d+)$/m.exec(
        readFileSync(`/proc/self/fdinfo/${this.#file.readFd}`, 'latin1'),
      )?.[1]
      return position === undefined ? undefined : Number(position) - this.#epochStart
    } catch {
      return undefined
    }
  }

  /** Takes every remaining ticket back for good. @returns How many calls of the last epoch have begun. */
  close(): number {
    if (this.#closed) return 0
    this.#closed = true
    const begun = this.#readRest()
    closeTicketFile(this.#file)
    return begun
  }

  /**
   * The offset is shared with code that is not trusted: it can move it, also while this reads. It is then told something wrong
   * about its own calls, and no more: there are never more reads than the tickets issued are worth, and none that throws.
   */
  #readRest(): number {
    let back = 0
    let read = this.#page.length
    // Nobody writes meanwhile, so a read that fills less than the page was the last one.
    while (read === this.#page.length && back < this.#issuedInEpoch) {
      read = this.#readPage()
      back += read
    }
    return Math.max(0, this.#issuedInEpoch - back)
  }

  /** @returns How many tickets it took; 0 as well where the offset is none that can be read from. */
  #readPage(): number {
    try {
      return readSync(this.#file.readFd, this.#page, 0, this.#page.length, null)
    } catch {
      return 0
    }
  }

  /** With the storage full fewer tickets are issued: the calls beyond them do not begin, and are taken back like others. */
  #issue(count: number): void {
    this.#page.fill(this.#epoch)
    try {
      const written = writeSync(this.#file.writeFd, this.#page, 0, count, this.#end)
      this.#end += written
      this.#issuedInEpoch += written
    } catch {
      // The next delivery tries again.
    }
  }
}
