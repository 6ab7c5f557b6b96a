import {
  accessSync,
  constants,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
} from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What makes a name: pid namespace, pid and start time say for ever which server made the directory. */
const NAME = /^anvoke-(\d+)-(\d+)-(\d+)-\w{6}$/

/** `/dev/shm` where it can be written, else the temporary directory, where calls may wait for a disk. */
export function memoryBackedDir(): string {
  try {
    accessSync('/dev/shm', constants.W_OK)
    return '/dev/shm'
  } catch {
    return tmpdir()
  }
}

/**
 * A directory of this server alone, mode 0700. One that a killed server of the same user left behind is removed, in the
 * background, by the next server that makes one in the same place.
 */
export class ServerDirectory {
  readonly path: string

  /**
   * Called at start, not while calls are served: it may wait for a disk.
   *
   * @param parent Directory to make it in.
   * @throws When it cannot be made.
   */
  constructor(parent: string) {
    const namespace = pidNamespace()
    removeStale(parent, namespace)
    this.path = mkdtempSync(
      join(parent, `anvoke-${namespace}-${process.pid}-${startTimeOf(process.pid) ?? '0'}-`),
    )
  }

  /** Removes it with all that is in it, except what its owner made unreadable. Never rejects. */
  async remove(): Promise<void> {
    await removeTree(this.path)
  }
}

function removeStale(parent: string, namespace: string): void {
  for (const name of readdirSync(parent)) {
    const [, where, pid, startTime] = NAME.exec(name) ?? []
    // Servers of other containers may share the parent; whether they live cannot be seen from here.
    if (where !== namespace || startTimeOf(Number(pid)) === startTime) continue
    const stat = lstatSync(join(parent, name), { throwIfNoEntry: false })
    if (stat?.isDirectory() === true && stat.uid === process.getuid?.()) void removeTree(join(parent, name))
  }
}

async function removeTree(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined)
}

function pidNamespace(): string {
  return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0'
}

/** @returns Clock ticks after boot, undefined when there is no such process. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}
