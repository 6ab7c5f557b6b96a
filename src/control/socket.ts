import { constants } from 'node:fs'
import { chmod, lstat, mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises'
import type { Server } from 'node:net'
import { join } from 'node:path'

/** The door's name in the data directory. */
export const SOCKET_NAME = 'control.sock'
/** Where it is made, in the data directory: nobody else may enter, whatever the mode of the data directory is. */
const WORKSHOP = '.control-new'

/**
 * A directory that is held open, and short paths to what is in it: a socket's path may have 107 bytes, a data directory's may have
 * more. Source: unix(7), `sun_path`.
 */
export class HeldDirectory {
  readonly #handle: FileHandle

  private constructor(handle: FileHandle) {
    this.#handle = handle
  }

  /** @throws the system's error, such as ENOENT or EACCES. */
  static async open(path: string): Promise<HeldDirectory> {
    return new HeldDirectory(await open(path, constants.O_RDONLY | constants.O_DIRECTORY))
  }

  /** Good until {@link HeldDirectory.close}. */
  pathTo(name: string): string {
    return `/proc/self/fd/${this.#handle.fd}/${name}`
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}

/** A socket that is listened on. */
export interface OpenSocket {
  /** Takes it out of the data directory. To be called once the server has been closed, which takes away what it bound itself. */
  remove(): Promise<void>
}

/**
 * Listens in the data directory for this user alone. The socket gets its mode before it gets its name, and takes the name from one
 * that a killed server left: at no moment can another user connect to it.
 *
 * @param dataDir Of this server alone: its store is open.
 * @throws the system's error; the directory is as it was then.
 */
export async function listenIn(dataDir: string, server: Server): Promise<OpenSocket> {
  const [workshop, path] = [join(dataDir, WORKSHOP), join(dataDir, SOCKET_NAME)]
  const found = await lstat(path).catch(() => undefined)
  if (found?.isSocket() === false) throw new Error(`${path} is there already, and is no socket`)
  await rm(workshop, { recursive: true, force: true })
  await mkdir(workshop, { mode: 0o700 })
  const held = await HeldDirectory.open(workshop)
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(held.pathTo(SOCKET_NAME), () => {
        server.off('error', reject)
        resolve()
      })
    })
    await chmod(join(workshop, SOCKET_NAME), 0o600)
    await rename(join(workshop, SOCKET_NAME), path)
  } catch (error) {
    server.close()
    await held.close()
    throw error
  } finally {
    await rm(workshop, { recursive: true, force: true })
  }
  return {
    remove: async () => {
      await rm(path, { force: true })
      // Not before: closing takes away what has the name that was bound, and that leads through the descriptor.
      await held.close()
    },
  }
}
