import { chmodSync, existsSync, mkdirSync, realpathSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Host name inside every sandbox. */
export const HOST_NAME = 'function'

/**
 * What of the host's `/etc` a runtime needs: the loader's cache, the time zone, public certificates and the links of
 * Debian's alternatives. Paths that a host lacks are left out.
 */
const SHOWN = [
  'ld.so.cache',
  'localtime',
  'alternatives',
  'ssl/certs',
  'ssl/openssl.cnf',
  'pki/tls/certs',
  'pki/ca-trust/extracted',
]

/** @returns What of the host's `/etc` every sandbox shows, with links followed. */
export function treesOfEtc(): string[] {
  return SHOWN.map((name) => join('/etc', name))
    .filter((path) => existsSync(path))
    .map((path) => realpathSync(path))
}

/** Where name servers are named. */
export const NAME_SERVERS = '/etc/resolv.conf'

interface ShownFile {
  readonly source: string
  readonly target: string
  readonly isDirectory: boolean
}

/** Makes the `/etc` that sandboxes see: one small directory per user id, and host files mounted into it. */
export class SyntheticEtc {
  readonly #root: string
  readonly #made = new Set<number>()
  /** Host files to mount over their empty places in every made directory. */
  readonly shown: readonly ShownFile[]
  /** bwrap's arguments that show the host's own name servers; none where it has none. */
  readonly hostNameServers: readonly string[]

  /** @param root Directory to keep the made ones in, on memory-backed storage: they are made while calls are served. */
  constructor(root: string) {
    this.#root = root
    this.hostNameServers = existsSync(NAME_SERVERS)
      ? ['--ro-bind', realpathSync(NAME_SERVERS), NAME_SERVERS]
      : []
    this.shown = SHOWN.flatMap((name) => {
      const source = join('/etc', name)
      return existsSync(source)
        ? [{ source: realpathSync(source), target: source, isDirectory: statSync(source).isDirectory() }]
        : []
    })
  }

  /** @returns The directory for this id, made once. */
  directoryFor(uid: number): string {
    const directory = join(this.#root, `etc-${uid}`)
    if (this.#made.has(uid)) return directory
    makeDirectory(directory)
    for (const [name, text] of Object.entries(filesFor(uid))) writePublic(join(directory, name), text)
    for (const { target, isDirectory } of this.shown) {
      const place = join(directory, target.slice('/etc/'.length))
      makeDirectory(join(place, '..'))
      if (isDirectory) makeDirectory(place)
      else writePublic(place, '')
    }
    this.#made.add(uid)
    return directory
  }
}

function filesFor(uid: number): Record<string, string> {
  return {
    passwd: `root:x:0:0:root:/:/usr/sbin/nologin\nfunction:x:${uid}:${uid}:function:/tmp:/usr/sbin/nologin\n`,
    group: `root:x:0:\nfunction:x:${uid}:\n`,
    hosts: `127.0.0.1 localhost ${HOST_NAME}\n::1 localhost\n`,
    hostname: `${HOST_NAME}\n`,
    'resolv.conf': '# No network, so no name server.\n',
    'nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
  }
}

// Modes are set after creation: the server's umask must not take them away.
function makeDirectory(path: string): void {
  mkdirSync(path, { recursive: true })
  chmodSync(path, 0o755)
}

function writePublic(path: string, text: string): void {
  writeFileSync(path, text)
  chmodSync(path, 0o644)
}
