import { setImmediate as nextTurn } from 'node:timers/promises'

/** Text that is made into lines in one turn of the event loop. */
const SLICE_BYTES = 64 * 1024
/** What an entry holds in memory besides its text, roughly. */
export const ENTRY_BYTES = 200

interface Entry {
  readonly bytes: number
  readonly render: () => void
}

/** Lines that are still to be made, in their order: a slice each turn of the event loop, so that long ones stall nobody. */
export class RenderQueue {
  #entries: Entry[] = []
  #bytes = 0
  #entered = 0
  #rendered = 0

  /** Bytes held. */
  get bytes(): number {
    return this.#bytes
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0
  }

  /** @param textBytes Of the text that `render` makes into a line. It must not throw. */
  enter(textBytes: number, render: () => void): void {
    const bytes = textBytes + ENTRY_BYTES
    this.#entered += 1
    this.#bytes += bytes
    if (this.#entries.push({ bytes, render }) === 1) setImmediate(() => this.#renderSlice())
  }

  /** Resolves when all that has been entered so far is made. */
  async settled(): Promise<void> {
    const entered = this.#entered
    while (this.#rendered < entered) await nextTurn()
  }

  #renderSlice(): void {
    let bytes = 0
    let count = 0
    for (const entry of this.#entries) {
      if (count > 0 && bytes + entry.bytes > SLICE_BYTES) break
      bytes += entry.bytes
      count += 1
    }
    for (const { render } of this.#entries.splice(0, count)) render()
    this.#bytes -= bytes
    this.#rendered += count
    if (this.#entries.length > 0) setImmediate(() => this.#renderSlice())
  }
}
