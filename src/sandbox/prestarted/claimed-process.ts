import type { SandboxExit, SandboxProcess, TicketFile } from '../sandbox.ts'
import type { Stem } from './stem.ts'

/** A stem in the hands of whoever claimed it: the driver's process, which is prepared when its code is in place. */
export class ClaimedProcess implements SandboxProcess {
  readonly channel: SandboxProcess['channel']
  readonly stdout: SandboxProcess['stdout']
  readonly stderr: SandboxProcess['stderr']
  readonly exited: Promise<SandboxExit>
  readonly prepared: Promise<void>
  readonly tickets: TicketFile
  readonly #process: SandboxProcess

  /** @param filled Settles when its code is in place. */
  constructor({ process, tickets }: Stem, filled: Promise<void>) {
    this.channel = process.channel
    this.stdout = process.stdout
    this.stderr = process.stderr
    this.exited = process.exited
    this.prepared = filled
    this.tickets = tickets
    this.#process = process
  }

  locate(target: string): string {
    return this.#process.locate(target)
  }

  get limitsMemory(): boolean {
    return this.#process.limitsMemory === true
  }

  get isFrozen(): boolean {
    return this.#process.isFrozen === true
  }

  memory(limitBytes?: number): ReturnType<SandboxProcess['memory']> {
    return this.#process.memory(limitBytes)
  }

  staysWithin(limitBytes: number): boolean {
    return this.#process.staysWithin?.(limitBytes) === true
  }

  async resetPeak(): Promise<boolean> {
    return (await this.#process.resetPeak?.()) ?? false
  }

  freeze(): void {
    this.#process.freeze?.()
  }

  async thaw(): Promise<void> {
    await this.#process.thaw?.()
  }

  async terminate(): Promise<void> {
    await this.#process.terminate?.()
  }

  kill(cause?: 'outOfMemory'): void {
    this.#process.kill(cause)
  }
}
