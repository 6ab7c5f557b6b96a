import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL(`reaper-program${extname(import.meta.url)}`, import.meta.url))

/** A line to the reaper's program: what to remove at the end, and instances by mark, with their group once it exists. */
export type ReaperOrder =
  | { readonly directories: readonly string[] }
  | { readonly add: string; readonly group?: number }
  | { readonly remove: string }

/**
 * Keeps a small process beside the server that ends the registered instances and removes their directories when the
 * server dies without doing so itself. Started with the first instance, and again when it was killed.
 */
export class Reaper {
  readonly #directories: readonly string[]
  readonly #groups = new Map<string, number | undefined>()
  #child: ChildProcess | undefined

  /** @param directories What is removed after the server's death. */
  constructor(directories: readonly string[]) {
    this.#directories = directories
  }

  /** Called before the instance starts, and again with its process group. */
  add(mark: string, group?: number): void {
    this.#groups.set(mark, group)
    if (this.#child === undefined) this.#start()
    else this.#tell(addOrder(mark, group))
  }

  remove(mark: string): void {
    this.#groups.delete(mark)
    this.#tell({ remove: mark })
  }

  /** Ends the process. Instances still registered are ended by it. */
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
    this.#tell({ directories: this.#directories })
    for (const [mark, group] of this.#groups) this.#tell(addOrder(mark, group))
  }

  #lost(child: ChildProcess): void {
    if (this.#child !== child) return
    this.#child = undefined
    // Killed by somebody: the instances that run need another. One that failed by itself would only fail again.
    if (child.signalCode !== null && this.#groups.size > 0) this.#start()
  }

  #tell(order: ReaperOrder): void {
    this.#child?.stdin?.write(`${JSON.stringify(order)}\n`)
  }
}

function addOrder(mark: string, group: number | undefined): ReaperOrder {
  return group === undefined ? { add: mark } : { add: mark, group }
}
