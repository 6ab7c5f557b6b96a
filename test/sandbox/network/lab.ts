import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { HOST, HOST_WITHOUT_CARRIER, METADATA, NAME_SERVER, WEB } from './addresses.ts'

const NOBODY = 65_534
const WORLD = fileURLToPath(new URL('world.ts', import.meta.url))
const RESOLVER = fileURLToPath(new URL('resolver.ts', import.meta.url))
const OWNER = fileURLToPath(new URL('owner.ts', import.meta.url))

/** Runs what follows with these files in place: only the processes that it starts see them. */
const WITH_FILES = 'mount --bind "$1/etc" /etc && mount --bind "$1/run" /run && shift && exec "$@"'
const WITH_DEVICE = 'mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200 && exec "$@"'

const asNobody = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--']

/** Why the lab cannot be built here; undefined: it can. */
export const whyNot = whyNoLab()
if (whyNot !== undefined) process.stderr.write(`The way out of the sandbox is not tested: ${whyNot}.\n`)

/** Who starts sandboxes in the lab. */
export const users = isOpenToAll() ? (['root', 'nobody'] as const) : (['root'] as const)
if (users.length === 1)
  process.stderr.write('An ordinary user cannot read this checkout: tested as root only.\n')

function whyNoLab(): string | undefined {
  const missing = ['/usr/bin/slirp4netns', '/usr/bin/nsenter', '/usr/bin/bwrap'].filter(
    (path) => !existsSync(path),
  )
  if (missing.length > 0) return `${missing.join(', ')} not installed`
  if (process.getuid?.() !== 0) return 'network namespaces take root'
  const name = `anvoke-trial-${process.pid}`
  const made = spawnSync('ip', ['netns', 'add', name])
  if (made.status !== 0) return `no network namespace can be made: ${String(made.stderr ?? made.error)}`
  spawnSync('ip', ['netns', 'delete', name])
  return undefined
}

/** Whether the files of this checkout can be read by an ordinary user. */
function isOpenToAll(): boolean {
  return canRun(process.execPath, '--version') && canRun('/usr/bin/test', '-r', OWNER)
}

function canRun(...command: readonly string[]): boolean {
  return spawnSync('setpriv', [...asNobody, ...command]).status === 0
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
  readonly #given = new Set<string>()
  readonly #services = new Set<ChildProcess>()
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
    return this.run('owner.ts', JSON.stringify(order), user)
  }

  /** Starts a program of this directory on the host, as root or as an ordinary user. */
  run(program: string, argument: string, user: 'root' | 'nobody'): ChildProcess {
    const change = user === 'root' ? [] : ['/bin/sh', '-c', WITH_DEVICE, 'sh', 'setpriv', ...asNobody]
    const command = [
      ...[...this.#onHost, 'unshare', '--mount', '--'],
      ...['/bin/sh', '-c', WITH_FILES, 'sh', this.#dir],
      ...[...change, process.execPath, fileURLToPath(new URL(program, import.meta.url)), argument],
    ]
    const owner = start(command)
    this.#owners.add(owner)
    owner.once('close', () => this.#owners.delete(owner))
    return owner
  }

  /** Makes the host's `/etc/resolv.conf`: a file, or as systemd-resolved does it, a link to one that is replaced for every change. */
  nameServers(text: string, layout: 'file' | 'link' = 'file'): void {
    const place = join(this.#dir, 'etc/resolv.conf')
    const target = join(this.#dir, 'run/systemd/resolve/stub-resolv.conf')
    const written = layout === 'file' ? place : target
    writeFileSync(`${written}.new`, text)
    renameSync(`${written}.new`, written)
    if (layout === 'file' || (existsSync(place) && lstatSync(place).isSymbolicLink())) return
    rmSync(place)
    symlinkSync('../run/systemd/resolve/stub-resolv.conf', place)
  }

  /** Starts a name service on the host that answers for the names of the lab. */
  async resolver(address: string, answer: string): Promise<void> {
    const service = start([...this.#onHost, process.execPath, RESOLVER, address, answer])
    this.#services.add(service)
    await firstLineOf(service)
  }

  /** Gives the host an address on an interface without carrier, until the end of the test or {@link takeAddress}. */
  giveAddress(address: string): void {
    ip('-n', this.#host, 'address', 'add', `${address}/32`, 'dev', 'loose')
    this.#given.add(address)
  }

  takeAddress(address: string): void {
    ip('-n', this.#host, 'address', 'delete', `${address}/32`, 'dev', 'loose')
    this.#given.delete(address)
  }

  /** Programs for an owner, of which those that make barriers fail from the moment that they are told to. */
  failingBarriers(): { programDirs: string[]; fail: () => void } {
    const [dir, mark] = [join(this.#dir, 'programs'), join(this.#dir, 'fails')]
    mkdirSync(dir, { recursive: true })
    writeFileSync(
      join(dir, 'ip'),
      `#!/bin/sh\n[ "$1" = -batch ] && [ -e ${mark} ] && exit 1\nPATH=/usr/sbin:/sbin exec ip "$@"\n`,
    )
    chmodSync(join(dir, 'ip'), 0o755)
    return { programDirs: [dir, '/usr/bin', '/usr/sbin'], fail: () => writeFileSync(mark, '') }
  }

  /** Ends the owners and services that a test left behind, and makes addresses and files as they were. */
  async restore(): Promise<void> {
    const left = [...this.#owners, ...this.#services].filter(
      ({ exitCode, signalCode }) => exitCode === null && signalCode === null,
    )
    const ends = left.map((child) => once(child, 'close'))
    for (const child of left) child.kill('SIGKILL')
    await Promise.all(ends)
    this.#services.clear()
    for (const address of this.#given) this.takeAddress(address)
    rmSync(join(this.#dir, 'fails'), { force: true })
    this.#makeFiles()
  }

  async close(): Promise<void> {
    await this.restore()
    if (this.#server !== undefined && this.#server.exitCode === null) {
      this.#server.kill('SIGKILL')
      await once(this.#server, 'close')
    }
    for (const name of [this.#host, this.#world]) spawnSync('ip', ['netns', 'delete', name])
    rmSync(this.#dir, { recursive: true })
  }

  get #onHost(): string[] {
    return ['nsenter', `--net=/run/netns/${this.#host}`]
  }

  #makeFiles(): void {
    rmSync(join(this.#dir, 'etc/resolv.conf'), { force: true })
    this.nameServers(`nameserver ${NAME_SERVER}\n`)
  }

  async #build(): Promise<void> {
    chmodSync(this.#dir, 0o755)
    const copied = spawnSync('cp', ['--archive', '/etc', join(this.#dir, 'etc')], { encoding: 'utf8' })
    if (copied.status !== 0) throw new Error(copied.stderr)
    mkdirSync(join(this.#dir, 'run/systemd/resolve'), { recursive: true })
    this.#makeFiles()
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
  return spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
}

function ip(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
}
