import { closeSync, openSync } from 'node:fs'
import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import type { InheritedDescriptors } from '../inherited-descriptors.ts'
import { barrierRules } from './barriers.ts'
import { Helper } from './helper.ts'
import { ownAddresses } from './own-addresses.ts'

/** Programs of the host that give a namespace a way out; absolute paths. */
export interface EgressPrograms {
  readonly slirp4netns: string
  /** Of iproute2. */
  readonly ip: string
  /** Both of util-linux. */
  readonly nsenter: string
  readonly unshare: string
  /** Bounds the carrier; a host without it goes without. */
  readonly prlimit?: string | undefined
}

/** What every {@link Egress} of a driver has in common. */
export interface EgressRoom {
  readonly programs: EgressPrograms
  /** Whether each sandbox has a user namespace, to which its network namespace belongs. */
  readonly inUserNamespace: boolean
  readonly inherited: InheritedDescriptors
}

/** Both programs need milliseconds; even a machine under heavy load is well within this. */
const ATTACH_TIMEOUT_MS = 5000

/** Connections of one instance at a time and a few descriptors besides. Each may make the carrier hold 410 KiB. */
const MOST_DESCRIPTORS = 256

/** What that many connections need and some to spare, bytes; a carrier that wants more ends, and its process with it. */
const MOST_DATA_BYTES = 128 * 1024 * 1024

const LIMITS = ['--core=0', `--nofile=${MOST_DESCRIPTORS}`, `--data=${MOST_DATA_BYTES}`]

/** Longest frame that slirp4netns takes: less work for a stream of data. */
const MTU = 65_520

/** Descriptors of the helpers: the two namespaces, and for the carrier the pipes that tell of its start and the server's end. */
const NET_FD = 3
const USER_FD = 4
const READY_FD = 5
const EXIT_FD = 6

/**
 * The way out of one sandbox: a slirp4netns beside it, the carrier, which does outside what the namespace asks for, as any
 * program of the host would; and barriers inside around what it may not reach.
 *
 * The carrier ends with {@link end}, and when the server ends, however that happens: the server alone holds the other end of
 * its pipe.
 */
export class Egress {
  /** Settles when the network is there with its barriers, or rejects with why not. Nobody has to listen. */
  readonly attached: Promise<void>
  /** Settles when nothing of it runs. Never rejects. */
  readonly ended: Promise<void>
  readonly #helpers: Helper[] = []

  /**
   * Holds on to the namespaces before it returns: what the process does later does not matter.
   *
   * @param pid A process in the network namespace, and where there is a user namespace, in the one this belongs to.
   * @param onLost Called when the carrier ends by itself after it was attached.
   * @throws When the process is gone, or the kernel refuses another process or descriptor.
   */
  constructor(pid: number, room: EgressRoom, onLost: () => void) {
    const namespaces: number[] = []
    try {
      namespaces.push(openSync(`/proc/${pid}/ns/net`, 'r'))
      namespaces.push(openSync(room.inUserNamespace ? `/proc/${pid}/ns/user` : '/dev/null', 'r'))
      this.attached = this.#attach(namespaces, room, onLost)
    } catch (error) {
      this.end()
      throw error
    } finally {
      for (const fd of namespaces) closeSync(fd)
    }
    this.attached.catch(() => this.end())
    this.ended = Promise.all(this.#helpers.map((helper) => helper.ended)).then(() => undefined)
  }

  /** Takes the network away. Safe to call any number of times. */
  end(): void {
    for (const helper of this.#helpers) helper.kill()
  }

  /** Makes the helpers before it returns. */
  #attach(namespaces: readonly number[], room: EgressRoom, onLost: () => void): Promise<void> {
    const { inherited } = room
    const carrier = new Helper(
      'slirp4netns',
      carrierCommand(room),
      ['ignore', 'ignore', 'pipe', ...namespaces, 'pipe', 'pipe'],
      inherited,
    )
    this.#helpers.push(carrier)
    const guard = new Helper('ip', guardCommand(room), ['pipe', 'ignore', 'pipe', ...namespaces], inherited)
    this.#helpers.push(guard)
    const both = Promise.all([untilCarried(carrier), untilGuarded(guard)])
    return withLimit(both).then(() => void carrier.ended.then(onLost))
  }
}

function carrierCommand(room: EgressRoom): string[] {
  const { prlimit, slirp4netns, unshare } = room.programs
  return [
    // As root, its clearing away of the file system would reach the host's mounts, which are shared on most hosts: these copies are
    // not. From a user namespace nothing reaches them.
    ...(room.inUserNamespace ? enter(room, `--user=${pathOf(USER_FD)}`) : [unshare, '--mount', '--']),
    ...(prlimit === undefined ? [] : [prlimit, ...LIMITS, '--']),
    slirp4netns,
    // No API socket, so no ports into the sandbox; no IPv6. It keeps no privileges and sees nothing of the file system.
    ...['--configure', `--mtu=${MTU}`, '--disable-host-loopback', '--enable-sandbox', '--enable-seccomp'],
    ...[`--ready-fd=${READY_FD}`, `--exit-fd=${EXIT_FD}`, '--netns-type=path', pathOf(NET_FD), 'tap0'],
  ]
}

function guardCommand(room: EgressRoom): string[] {
  const user = room.inUserNamespace ? [`--user=${pathOf(USER_FD)}`] : []
  return [...enter(room, ...user, `--net=${pathOf(NET_FD)}`), room.programs.ip, '-batch', '-']
}

/** An ordinary user is root in the namespaces of a sandbox of his, without changing ids. */
function enter({ programs }: EgressRoom, ...namespaces: readonly string[]): string[] {
  return [programs.nsenter, '--preserve-credentials', ...namespaces, '--']
}

function pathOf(fd: number): string {
  return `/proc/self/fd/${fd}`
}

async function untilCarried(carrier: Helper): Promise<void> {
  const ready = carrier.pipes[READY_FD]
  if (!(ready instanceof Readable)) throw new Error('the pipe of a helper is missing')
  const ended = carrier.ended.then((why) => {
    throw new Error(why ?? 'slirp4netns ended at once')
  })
  await Promise.race([once(ready, 'data'), ended])
}

async function untilGuarded(guard: Helper): Promise<void> {
  const [rules] = guard.pipes
  if (!(rules instanceof Writable)) throw new Error('the pipe of a helper is missing')
  rules.end(barrierRules(await ownAddresses()))
  const why = await guard.ended
  if (why !== undefined) throw new Error(why)
}

async function withLimit(promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<void>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('the helpers did not answer in time')), ATTACH_TIMEOUT_MS)
  })
  try {
    await Promise.race([promise, limit])
  } finally {
    clearTimeout(timer)
  }
}
