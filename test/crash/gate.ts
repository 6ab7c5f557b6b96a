/** Whether the server is there to be asked; those who want to ask wait here. */
export class Gate {
  #opening = Promise.withResolvers<void>()
  #isOpen = false

  get isOpen(): boolean {
    return this.#isOpen
  }

  open(): void {
    this.#isOpen = true
    this.#opening.resolve()
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#opening = Promise.withResolvers()
  }

  async opened(): Promise<void> {
    await this.#opening.promise
  }
}
