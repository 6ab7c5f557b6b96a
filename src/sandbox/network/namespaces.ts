import { closeSync, fstatSync, openSync, statSync } from 'node:fs'
import type { KnownProcess } from '../known-process.ts'

/** Descriptors that helpers find them at. */
const NET_FD = 3
const USER_FD = 4

/** Where a helper finds the network namespace. */
export const NET_PATH = `/proc/self/fd/${NET_FD}`

/**
 * The network namespace of a sandbox and the user namespace it belongs to, held open: they stay the same, whatever becomes of
 * the process.
 */
export class Namespaces {
  /** Whether the network namespace belongs to a user namespace of its own, not to the server's. */
  readonly inUserNamespace: boolean
  readonly #descriptors: readonly number[]
  #closed = false

  /**
   * @param process In the network namespace, and where there is a user namespace, in the one this belongs to.
   * @throws When the process is gone, its network is the server's own, or the kernel refuses another descriptor.
   */
  constructor(process: KnownProcess, inUserNamespace: boolean) {
    this.inUserNamespace = inUserNamespace
    const opened: number[] = []
    try {
      for (const path of [
        `/proc/${process.pid}/ns/net`,
        inUserNamespace ? `/proc/${process.pid}/ns/user` : '/dev/null',
      ])
        opened.push(openSync(path, 'r'))
      requireForeign(opened[0])
      // What was opened is its own only if it had its number until then.
      if (!process.isStill()) throw new Error('the process has ended')
    } catch (error) {
      for (const fd of opened) closeSync(fd)
      throw error
    }
    this.#descriptors = opened
  }

  /** Lets go of them. Safe to call any number of times. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const fd of this.#descriptors) closeSync(fd)
  }

  /**
   * For helpers, from their descriptor 3 on; the second is of no use where there is no user namespace.
   *
   * @throws When they are let go of: the numbers may be those of other files by now.
   */
  get descriptors(): readonly number[] {
    if (this.#closed) throw new Error('the namespaces are no longer held')
    return this.#descriptors
  }

  /** @returns nsenter's arguments for a helper to own the network; none where the server itself does. */
  get ownerOptions(): string[] {
    // An ordinary user is root in the namespaces of a sandbox of his, without changing ids.
    return this.inUserNamespace ? ['--preserve-credentials', `--user=/proc/self/fd/${USER_FD}`] : []
  }
}

/** Helpers give what they enter a device and barriers: of the host itself they would take the network away. */
function requireForeign(net: number | undefined): void {
  const own = statSync('/proc/self/ns/net', { bigint: true })
  const its = net === undefined ? own : fstatSync(net, { bigint: true })
  if (its.dev === own.dev && its.ino === own.ino) throw new Error('it has the network of the server itself')
}
