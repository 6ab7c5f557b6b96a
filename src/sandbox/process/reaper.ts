import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('reaper-program.js', import.meta.url))

/**
 * Keeps a small process beside the server that ends registered process groups and removes their directories when the
 * server dies without doing so itself. Started with the first group; started again when it was killed.
 */
export class Reaper {
  readonly #groups = new Map<number, string>()
  #child: ChildProcess | undefined

  add(group: number, directory: string): void {
    this.#groups.set(group, directory)
    if (this.#child === undefined) this.#start()
    else this.#tell({ add: group, dir: directory })
  }

  remove(group: number): void {
    this.#groups.delete(group)
    this.#tell({ remove: group })
  }

  /** Ends the process. Groups still registered are ended by it. */
  async close(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.stdin?.end()
    child.ref()
    await once(child, 'exit')
  }

  #start(): void {
    // A session of its own: a signal to the server's process group must not end what cleans up after it.
    const child = spawn(process.execPath, [PROGRAM], {
      stdio: ['pipe', 'ignore', 'ignore'],
      env: {},
      detached: true,
    })
    child.on('error', () => this.#lost(child))
    child.on('exit', () => this.#lost(child))
    child.stdin.on('error', () => undefined)
    child.unref()
    this.#child = child
    for (const [add, dir] of this.#groups) this.#tell({ add, dir })
  }

  #lost(child: ChildProcess): void {
    if (this.#child === child) this.#child = undefined
  }

  #tell(order: object): void {
    this.#child?.stdin?.write(`${JSON.stringify(order)}\n`)
  }
}
