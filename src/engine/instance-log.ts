import type { Call } from './call.ts'
import type { Deliveries } from './deliveries.ts'
import { LooseText } from './loose-text.ts'

/** What the code of one instance logs: to the call it belongs to, or kept for the next one. */
export class InstanceLog {
  readonly #deliveries: Deliveries
  readonly #concurrency: number
  readonly #looseText = new LooseText()
  #closed = false

  constructor(deliveries: Deliveries, concurrency: number) {
    this.#deliveries = deliveries
    this.#concurrency = concurrency
  }

  /** Text of a frame that names its call; 0 names none. */
  add(callId: number, chunks: readonly Buffer[]): void {
    const call = callId === 0 ? undefined : this.#deliveries.find(callId)
    for (const text of chunks) this.#addTo(call, text)
  }

  /** Bytes written behind the bootstrap's back belong to the call that is running, if only one can be. */
  addRaw(text: Buffer): void {
    this.#addTo(this.#concurrency === 1 ? this.#deliveries.first : undefined, text)
  }

  /** Text of no call. */
  keep(text: string): void {
    this.#looseText.keep(Buffer.from(text))
  }

  /** The first words of a call are what the instance wrote before it. */
  begin(call: Call): void {
    if (this.#looseText.isEmpty || call.logBegun) return
    for (const text of this.#looseText.take()) call.log.append(text)
  }

  /** The text that no call has taken yet. */
  take(): readonly Buffer[] {
    return this.#looseText.take()
  }

  /** Nothing more is kept for later calls: there are none. */
  close(): void {
    this.#closed = true
  }

  #addTo(call: Call | undefined, text: Buffer): void {
    if (call !== undefined) {
      this.begin(call)
      call.addLog(text)
    } else if (!this.#closed) this.#looseText.keep(text)
  }
}
