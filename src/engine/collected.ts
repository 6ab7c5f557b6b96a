import type { Instance } from './instance.ts'

/** Instances with frames that go to the kernel at the end of the turn: one write for many calls. */
export class Collected {
  readonly #instances: Instance[] = []

  add(instance: Instance): void {
    // An idle process has no other frames to share a write with: it is woken at once.
    if (instance.delivered === 1) {
      instance.flush()
      return
    }
    if (this.#instances.length === 0) setImmediate(() => this.#flush())
    if (this.#instances.at(-1) !== instance) this.#instances.push(instance)
  }

  #flush(): void {
    for (const instance of this.#instances.splice(0)) instance.flush()
  }
}
