import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { InheritedDescriptors } from '../inherited-descriptors.ts'
import { Helper } from './helper.ts'
import { ownAddresses } from './own-addresses.ts'

/** Programs of the host; absolute paths. */
export interface WatchPrograms {
  /** Of iproute2. */
  readonly ip: string
  /** Of util-linux; without it the host is looked at once a second instead. */
  readonly setpriv?: string | undefined
}

/** Between two looks, ms: a router whose routes change all the time costs little, and a new address waits no longer than this. */
const PAUSE_MS = 50

/** Between two looks where no change is told, ms. */
const UNTOLD_PAUSE_MS = 1000

/** Namespaces that are given new barriers at a time: the server has other work. */
const LANES = 4

/** Sockets of the kernel's netlink, with their owners and what they listen to. */
const NETLINK_FILE = '/proc/net/netlink'

/** Of the second column on: family (routing), the owner's pid, groups; the group of IPv4 routes is 0x40. */
const ROUTE_LISTENER = /^\S+ +0 +(\d+) +([0-9a-f]+) /gm
const ROUTE_GROUP = 0x40

/** Before the monitor starts, ms: it takes nothing from the start of a process, and what ends at once needs none. */
const START_MS = 100

/** Called with every address that is the host's own; rejected where that is not known any more. Never rejects. */
export type AddressFollower = (addresses: Promise<readonly string[]>) => Promise<void>

/**
 * Follows the addresses of the host while somebody needs them: `ip monitor` tells of a change, then the routes are read again. Looking
 * once a second instead would leave a function a second to reach what the host serves at a new address, and would be work
 * for hosts that nothing happens to.
 *
 * The monitor ends with the last follower, and with the server, by the kernel's death signal. Where it cannot run, the host is
 * looked at once a second.
 */
export class AddressWatch {
  readonly #programs: WatchPrograms
  readonly #inherited: InheritedDescriptors
  readonly #followers = new Set<AddressFollower>()
  /** Those that have not been told what {@link #known} says. */
  readonly #untold = new Set<AddressFollower>()
  #lanes = 0
  #known: Promise<readonly string[]> | undefined
  #stopping = new AbortController()
  #running: Promise<void> = Promise.resolve()
  #looking = false
  #changed = false

  constructor(programs: WatchPrograms, inherited: InheritedDescriptors) {
    this.#programs = programs
    this.#inherited = inherited
  }

  /**
   * Starts to follow. The follower is called when an address is new, not with those of now.
   *
   * @returns The addresses of now; rejects when the kernel does not tell them.
   */
  follow(follower: AddressFollower): Promise<readonly string[]> {
    this.#followers.add(follower)
    if (this.#followers.size === 1) {
      const { signal } = (this.#stopping = new AbortController())
      this.#running = this.#running.then(() => this.#run(signal))
    } else if (this.#known !== undefined) return this.#known
    return this.#read()
  }

  /** Ends what {@link follow} began. Resolves when nothing runs for it any more; safe to call again. */
  async leave(follower: AddressFollower): Promise<void> {
    this.#untold.delete(follower)
    if (!this.#followers.delete(follower) || this.#followers.size > 0) return
    this.#stopping.abort()
    await this.#running
  }

  async #run(stopping: AbortSignal): Promise<void> {
    for (let pauseMs = START_MS; ; pauseMs = UNTOLD_PAUSE_MS) {
      await pause(pauseMs, stopping)
      if (stopping.aborted) return
      this.#look()
      // Without a process to be had at the moment, it is tried again.
      await this.#listen(stopping).catch(() => undefined)
    }
  }

  async #listen(stopping: AbortSignal): Promise<void> {
    const { ip, setpriv } = this.#programs
    if (setpriv === undefined) return
    const command = [setpriv, '--pdeathsig', 'KILL', '--', ip, '-4', '-oneline', 'monitor', 'route']
    const monitor = new Helper('ip', command, ['ignore', 'pipe', 'pipe'], this.#inherited)
    const kill = (): void => monitor.kill()
    stopping.addEventListener('abort', kill)
    const over = new AbortController()
    const ended = monitor.ended.then(() => over.abort())
    // Its complaints, too: they tell that changes were more than it could hold.
    for (const pipe of monitor.pipes) if (pipe instanceof Readable) pipe.on('data', () => this.#look())
    for (let pauseMs = 5; !over.signal.aborted; pauseMs = Math.min(pauseMs * 2, UNTOLD_PAUSE_MS)) {
      const listens = await listensToRoutes(monitor.pid)
      // What changed before it listened.
      this.#look()
      if (listens) break
      await pause(pauseMs, over.signal)
    }
    await ended
    stopping.removeEventListener('abort', kill)
  }

  /** Reads the addresses, at once or after the pause that follows the look before. */
  #look(): void {
    this.#changed = true
    if (this.#looking || this.#stopping.signal.aborted) return
    this.#looking = true
    void this.#lookWhileChanged(this.#stopping.signal).finally(() => {
      this.#looking = false
      if (this.#changed) this.#look()
    })
  }

  async #lookWhileChanged(stopping: AbortSignal): Promise<void> {
    while (this.#changed && !stopping.aborted) {
      this.#changed = false
      const before = this.#known
      const now = this.#read()
      if (await isNew(now, before)) this.#tellAll()
      await pause(PAUSE_MS, stopping)
    }
  }

  /** What could not be read is not kept: the next one who asks reads again. */
  #read(): Promise<readonly string[]> {
    const now = ownAddresses()
    this.#known = now
    now.catch(() => {
      if (this.#known === now) this.#known = undefined
    })
    return now
  }

  #tellAll(): void {
    for (const follower of this.#followers) this.#untold.add(follower)
    const lanes = Math.min(LANES, this.#untold.size)
    while (this.#lanes < lanes) void this.#tell()
  }

  async #tell(): Promise<void> {
    this.#lanes += 1
    for (const follower of this.#untold) {
      this.#untold.delete(follower)
      await follower(this.#known ?? this.#read())
    }
    this.#lanes -= 1
  }
}

/** Addresses that the host has lost are no news: they stay barred where they are. */
async function isNew(
  now: Promise<readonly string[]>,
  before: Promise<readonly string[]> | undefined,
): Promise<boolean> {
  try {
    const known = new Set(await before)
    return (await now).some((address) => !known.has(address))
  } catch {
    return true
  }
}

async function listensToRoutes(pid: number | undefined): Promise<boolean> {
  const sockets = await readFile(NETLINK_FILE, 'latin1').catch(() => '')
  return [...sockets.matchAll(ROUTE_LISTENER)].some(
    ([, owner, groups = '0']) => Number(owner) === pid && (Number.parseInt(groups, 16) & ROUTE_GROUP) !== 0,
  )
}

async function pause(ms: number, stopping: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal: stopping }).catch(() => undefined)
}
