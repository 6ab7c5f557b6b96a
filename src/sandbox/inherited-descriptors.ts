import { openSync, readdirSync, readFileSync } from 'node:fs'

/** `O_CLOEXEC` in the octal `flags` line of `/proc/self/fdinfo`. */
const CLOSE_ON_EXEC = 0o2000000

/**
 * Descriptors that the server was itself started with and that a child would get, besides those meant for it.
 *
 * Node marks the first of them as its own and stops at the first gap, so a stray one with a high number, say of the shell
 * that started the server, would reach functions. It cannot be marked from here; the child gets `/dev/null` in its place.
 */
export class InheritedDescriptors {
  readonly #strays: readonly number[]
  readonly #nullFd: number

  constructor() {
    this.#strays = readdirSync('/proc/self/fd').map(Number).filter(isInherited)
    this.#nullFd = this.#strays.length > 0 ? openSync('/dev/null', 'r+') : -1
  }

  /**
   * @param stdio What the child gets, from descriptor 0 on.
   * @returns The same, followed by a stand-in for every stray.
   */
  shadow<T>(stdio: readonly T[]): (T | number | 'ignore')[] {
    const all: (T | number | 'ignore')[] = [...stdio]
    for (const stray of this.#strays) {
      if (stray < stdio.length) continue
      while (all.length < stray) all.push('ignore')
      all[stray] = this.#nullFd
    }
    return all
  }
}

function isInherited(fd: number): boolean {
  if (fd < 3) return false
  try {
    const flags = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? '0'
    return (Number.parseInt(flags, 8) & CLOSE_ON_EXEC) === 0
  } catch {
    // The descriptor that the directory was read with.
    return false
  }
}
