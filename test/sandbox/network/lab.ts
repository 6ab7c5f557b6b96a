import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Addresses of documentation networks (RFC 5737): nothing outside of the lab ever has them. */
export const HOST = '203.0.113.1'
/** An address of the host on an interface without carrier. */
export const HOST_WITHOUT_CARRIER = '203.0.113.129'
export const WEB = '198.51.100.10'
export const NAME_SERVER = '198.51.100.53'
/** What the lab's name server answers with {@link WEB}. */
export const WEB_NAME = 'web.example'
export const METADATA = '169.254.169.254'
/** A group that the host and the world listen to. */
export const GROUP = '239.1.2.3'
export const PORTS = { web: 80, control: 7400, loopback: 7401, datagrams: 7402 } as const

const NOBODY = 65_534
const WORLD = fileURLToPath(new URL('world.ts', import.meta.url))
const OWNER = fileURLToPath(new URL('owner.ts', import.meta.url))

/** Runs what follows with these files in place: only the processes that it starts see them. */
const WITH_NAME_SERVER = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
const WITH_DEVICE = 'mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200 && exec "$@"'

/** Why the lab cannot be built here; undefined: it can. */
export function whyNoLab(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces take root'
  const name = `anvoke-trial-${process.pid}`
  const made = spawnSync('ip', ['netns', 'add', name])
  if (made.status !== 0) return `no network namespace can be made: ${String(made.stderr ?? made.error)}`
  spawnSync('ip', ['netns', 'delete', name])
  return undefined
}

/** Whether the files of this checkout can be read by an ordinary user. */
export function isOpenToAll(): boolean {
  return spawnSync('setpriv', [...asNobody, process.execPath, '--version', OWNER]).status === 0 && canRead()
}

const asNobody = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--']

function canRead(): boolean {
  return spawnSync('setpriv', [...asNobody, '/usr/bin/test', '-r', OWNER]).status === 0
}

/**
 * Two network namespaces with a cable between them: a host, and the world outside with a web server, a name server and an
 * address at which a cloud would give out credentials. No packet leaves them.
 */
export class Lab {
  readonly #host = `anvoke-host-${process.pid}`
  readonly #world = `anvoke-world-${process.pid}`
  readonly #dir = mkdtempSync(join(tmpdir(), 'anvoke-lab-'))
  readonly #owners = new Set<ChildProcess>()
  #server: ChildProcess | undefined

  /** Resolves when the world answers. */
  static async open(): Promise<Lab> {
    const lab = new Lab()
    try {
      await lab.#build()
    } catch (error) {
      await lab.close()
      throw error
    }
    return lab
  }

  /** Starts the program `owner.ts` on the host, as root or as an ordinary user. */
  owner(order: object, user: 'root' | 'nobody'): ChildProcess {
    const change = user === 'root' ? [] : ['/bin/sh', '-c', WITH_DEVICE, 'sh', 'setpriv', ...asNobody]
    const command = [
      ...['nsenter', `--net=/run/netns/${this.#host}`, 'unshare', '--mount', '--'],
      ...['/bin/sh', '-c', WITH_NAME_SERVER, 'sh', join(this.#dir, 'resolv.conf')],
      ...[...change, process.execPath, OWNER, JSON.stringify(order)],
    ]
    const owner = start(command)
    this.#owners.add(owner)
    owner.once('close', () => this.#owners.delete(owner))
    return owner
  }

  /** Ends the owners that a test left behind. */
  async endOwners(): Promise<void> {
    const ends = [...this.#owners].map((owner) => once(owner, 'close'))
    for (const owner of this.#owners) owner.kill('SIGKILL')
    await Promise.all(ends)
  }

  async close(): Promise<void> {
    await this.endOwners()
    if (this.#server !== undefined && this.#server.exitCode === null) {
      this.#server.kill('SIGKILL')
      await once(this.#server, 'close')
    }
    for (const name of [this.#host, this.#world]) spawnSync('ip', ['netns', 'delete', name])
    rmSync(this.#dir, { recursive: true })
  }

  async #build(): Promise<void> {
    writeFileSync(join(this.#dir, 'resolv.conf'), `nameserver ${NAME_SERVER}\n`)
    ip('netns', 'add', this.#host)
    ip('netns', 'add', this.#world)
    ip(
      'link',
      'add',
      'cable',
      'netns',
      this.#host,
      'type',
      'veth',
      'peer',
      'name',
      'cable',
      'netns',
      this.#world,
    )
    ip('-n', this.#host, 'link', 'add', 'loose', 'type', 'veth', 'peer', 'name', 'end')
    const addresses = [
      [this.#host, 'cable', `${HOST}/25`],
      [this.#host, 'loose', `${HOST_WITHOUT_CARRIER}/25`],
      [this.#world, 'cable', '203.0.113.2/25'],
      ...[WEB, NAME_SERVER, METADATA].map((address) => [this.#world, 'lo', `${address}/32`]),
    ] as const
    for (const [namespace = '', device = '', address = ''] of addresses) {
      ip('-n', namespace, 'address', 'add', address, 'dev', device)
      ip('-n', namespace, 'link', 'set', device, 'up')
    }
    ip('-n', this.#host, 'link', 'set', 'lo', 'up')
    ip('-n', this.#host, 'route', 'add', 'default', 'via', '203.0.113.2')
    this.#server = start(['nsenter', `--net=/run/netns/${this.#world}`, process.execPath, WORLD])
    await firstLineOf(this.#server)
  }
}

/** Resolves with the first line that a program writes; rejects with what it complained of when it ends without one. */
export function firstLineOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = ''
    let complaint = ''
    child.stderr?.on('data', (chunk) => (complaint += String(chunk)))
    child.stdout?.on('data', (chunk) => {
      said += String(chunk)
      if (said.includes('\n')) resolve(said.slice(0, said.indexOf('\n')))
    })
    child.once('error', reject)
    child.once('close', () => reject(new Error(`it ended: ${complaint}`)))
  })
}

function start([program = '', ...args]: readonly string[]): ChildProcess {
  return spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
}

function ip(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
}
