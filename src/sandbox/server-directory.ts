import { accessSync, constants, lstatSync, mkdtempSync, readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isOfDeadServer, serverName } from './server-name.ts'

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
 * A directory of this server alone, mode 0700. What a killed server of the same user left behind under its name, such a directory or
 * a file, is removed, in the background, by the next server that makes one in the same place.
 */
export class ServerDirectory {
  readonly path: string

  /**
   * Called at start, not while calls are served: it may wait for a disk.
   *
   * @param parent Directory to make it in.
   * @param prefix What its name begins with.
   * @throws When it cannot be made.
   */
  constructor(parent: string, prefix?: Parameters<typeof serverName>[0]) {
    removeStale(parent)
    this.path = mkdtempSync(join(parent, `${serverName(prefix)}-`))
  }

  /** Removes it with all that is in it, except what its owner made unreadable. Never rejects. */
  async remove(): Promise<void> {
    await removeTree(this.path)
  }
}

function removeStale(parent: string): void {
  for (const name of readdirSync(parent)) {
    if (!isOfDeadServer(name)) continue
    const stat = lstatSync(join(parent, name), { throwIfNoEntry: false })
    if (stat?.uid === process.getuid?.()) void removeTree(join(parent, name))
  }
}

async function removeTree(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined)
}
