import { closeSync, openSync } from 'node:fs'

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
   * @param pid A process in the network namespace, and where there is a user namespace, in the one this belongs to.
   * @throws When the process is gone, or the kernel refuses another descriptor.
   */
  constructor(pid: number, inUserNamespace: boolean) {
    this.inUserNamespace = inUserNamespace
    const net = openSync(`/proc/${pid}/ns/net`, 'r')
    try {
      this.#descriptors = [net, openSync(inUserNamespace ? `/proc/${pid}/ns/user` : '/dev/null', 'r')]
    } catch (error) {
      closeSync(net)
      throw error
    }
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
