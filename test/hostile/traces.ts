import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../sandbox/harness.ts'

/** A thousand processes that fight for the processors take their time to die. */
export const PATIENCE_MS = 60_000

/** What of one instance can be seen on the host: the processes of its pid namespace and its control groups. */
export class Traces {
  readonly #pidNamespace: string
  /** The namespace's first process, with which it ends: its number may soon be another's. */
  readonly #init: string
  readonly #groups: readonly string[]

  private constructor(pidNamespace: string, init: string, groups: readonly string[]) {
    this.#pidNamespace = pidNamespace
    this.#init = init
    this.#groups = groups
  }

  /**
   * @param pidNamespace As a process inside reads it: `pid:[…]`.
   * @throws When no process of the host is in it.
   */
  static of(pidNamespace: string, serverPid: number): Traces {
    const pids = /^pid:\[\d+\]$/.test(pidNamespace) ? pidsIn(pidNamespace) : []
    if (pids.length === 0) throw new Error(`nothing runs in ${pidNamespace}`)
    const ofServer = groupsOf(serverPid)
    return new Traces(
      pidNamespace,
      initAmong(pids),
      [...new Set(pids.flatMap(groupsOf))].filter((group) => !ofServer.includes(group)),
    )
  }

  /** Its processes as the host numbers them. */
  get pids(): readonly number[] {
    const pids = pidsIn(this.#pidNamespace)
    return initAmong(pids) === this.#init ? pids : []
  }

  /** Waits until nothing of it runs. */
  async untilEnded(): Promise<void> {
    await eventually(() => this.pids.length === 0, PATIENCE_MS).catch(() => {
      throw new Error(`still there:\n${this.pids.map((pid) => readOr(`/proc/${pid}/status`)).join('\n')}`)
    })
  }

  /** Waits until nothing of it runs and its control groups are removed. */
  async untilGone(): Promise<void> {
    await this.untilEnded()
    await eventually(() => !this.#groups.some((group) => existsSync(group)), PATIENCE_MS)
  }
}

function pidsIn(pidNamespace: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && namespaceOf(pid) === pidNamespace)
}

/** Which of them is the first of its namespace, by its id and when it started. */
function initAmong(pids: readonly number[]): string {
  const init = pids.find((pid) => /^NSpid:.*\t1$/m.test(readOr(`/proc/${pid}/status`)))
  const stat = readOr(`/proc/${init}/stat`)
  return `${init} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`
}

/** Undefined for the dead as well: how soon a host's first process buries them is its own affair. */
function namespaceOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const isDead = /^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))
    return isDead ? undefined : readlinkSync(`/proc/${pid}/ns/pid`)
  } catch {
    return undefined
  }
}

/** Directories of the control groups that a process is in, of every hierarchy that is mounted. */
function groupsOf(pid: number): string[] {
  const memberships = readOr(`/proc/${pid}/cgroup`).trim().split('\n')
  return memberships.flatMap((line) => {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    return hierarchies()
      .filter((mount) => (controllers === '' ? mount.isUnified : mount.options.includes(controllers)))
      .map((mount) => join(mount.place, path))
  })
}

/** Control group hierarchies; format of the lines: proc(5), mountinfo. */
function hierarchies(): { place: string; isUnified: boolean; options: string }[] {
  return readOr('/proc/self/mountinfo')
    .split('\n')
    .flatMap((line) => {
      const [own = '', ofSystem = ''] = line.split(' - ')
      const [type = '', , options = ''] = ofSystem.split(' ')
      if (!type.startsWith('cgroup')) return []
      return [{ place: own.split(' ')[4] ?? '', isUnified: type === 'cgroup2', options }]
    })
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
