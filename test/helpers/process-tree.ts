import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** How often the tree is looked at: a process that is orphaned and lives on is then known from before. */
const LOOK_MS = 250
/** The kernel ends a pid namespace at once; the rest is what a busy machine needs to show it. */
const GONE_WITHIN_MS = 10_000

interface ProcessStatus {
  readonly pid: number
  readonly parent: number
  /** Tells a process from a later one with the same id. */
  readonly startedAt: string
  readonly isDead: boolean
  readonly command: string
}

/** Remembers every descendant a process ever seemed to have, to find those that outlive it. */
export class ProcessTree {
  readonly #root: number
  readonly #seen = new Map<string, ProcessStatus>()
  readonly #timer: NodeJS.Timeout

  constructor(root: number) {
    this.#root = root
    this.#timer = setInterval(() => this.look(), LOOK_MS)
    this.#timer.unref()
  }

  /** Adds the descendants of now, and returns them. */
  look(): readonly ProcessStatus[] {
    const all = listProcesses()
    const found: ProcessStatus[] = []
    const parents = [this.#root]
    for (let parent = parents.pop(); parent !== undefined; parent = parents.pop()) {
      for (const status of all) {
        if (status.parent !== parent) continue
        found.push(status)
        parents.push(status.pid)
      }
    }
    for (const status of found) this.#seen.set(identity(status), status)
    return found
  }

  /** How many different descendants were ever seen. */
  get seen(): number {
    return this.#seen.size
  }

  /** Ends the watching and waits for the end of every process that was seen. @throws naming those that live on */
  async assertGone(): Promise<void> {
    clearInterval(this.#timer)
    const deadline = Date.now() + GONE_WITHIN_MS
    for (;;) {
      const living = this.#living()
      if (living.length === 0) return
      if (Date.now() > deadline) {
        const names = living.map(({ pid, command }) => `${pid} (${command})`)
        throw new Error(`still running after the server's end: ${names.join(', ')}`)
      }
      await delay(20)
    }
  }

  #living(): readonly ProcessStatus[] {
    const now = new Set(
      listProcesses()
        .filter(({ isDead }) => !isDead)
        .map(identity),
    )
    return [...this.#seen.values()].filter((status) => now.has(identity(status)))
  }
}

function identity({ pid, startedAt }: ProcessStatus): string {
  return `${pid}@${startedAt}`
}

function listProcesses(): ProcessStatus[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readStatus(Number(name)) ?? [])
}

/** Field numbers: proc(5), /proc/pid/stat; the command is in parentheses and may hold anything. */
function readStatus(pid: number): ProcessStatus | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const afterName = text.lastIndexOf(')')
    const fields = text.slice(afterName + 2).split(' ')
    return {
      pid,
      parent: Number(fields[1]),
      startedAt: fields[19] ?? '',
      isDead: fields[0] === 'Z' || fields[0] === 'X',
      command: text.slice(text.indexOf('(') + 1, afterName),
    }
  } catch {
    return undefined
  }
}
