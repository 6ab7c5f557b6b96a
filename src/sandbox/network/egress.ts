import { once } from 'node:events'
import { Readable } from 'node:stream'
import type { InheritedDescriptors } from '../inherited-descriptors.ts'
import type { KnownProcess } from '../known-process.ts'
import { AddressWatch, type AddressFollower } from './address-watch.ts'
import { BarrierSet } from './barrier-set.ts'
import { Helper } from './helper.ts'
import { Namespaces, NET_PATH } from './namespaces.ts'

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
  /** Of util-linux: lets new addresses of the host be barred in running processes at once, else within a second. */
  readonly setpriv?: string | undefined
}

/** What every {@link Egress} of a driver has in common. */
export interface EgressRoom {
  /** The same object every time: the host is watched once for all that have it. */
  readonly programs: EgressPrograms
  /** Whether each sandbox has a user namespace, to which its network namespace belongs. */
  readonly inUserNamespace: boolean
  readonly inherited: InheritedDescriptors
}

/** All programs need milliseconds; even a machine under heavy load is well within this. */
const HELPER_TIMEOUT_MS = 5000

/** Connections of one instance at a time and a few descriptors besides. Each may make the carrier hold 410 KiB. */
const MOST_DESCRIPTORS = 256

/** What that many connections need and some to spare, bytes; a carrier that wants more ends, and its process with it. */
const MOST_DATA_BYTES = 128 * 1024 * 1024

const LIMITS = ['--core=0', `--nofile=${MOST_DESCRIPTORS}`, `--data=${MOST_DATA_BYTES}`]

/** Longest frame that slirp4netns takes: less work for a stream of data. */
const MTU = 65_520

/** Descriptors of the carrier behind the namespaces: pipes that tell of its start and the server's end. */
const READY_FD = 5
const EXIT_FD = 6

const watches = new WeakMap<EgressPrograms, AddressWatch>()

/**
 * The way out of one sandbox: a slirp4netns beside it, the carrier, which does outside what the namespace asks for, as any
 * program of the host would; and barriers inside around what it may not reach, also what becomes the host's own later.
 *
 * The carrier ends with {@link end}, and when the server ends, however that happens: the server alone holds the other end of
 * its pipe.
 */
export class Egress {
  /** Settles when the network is there with its barriers, or rejects with why not. Nobody has to listen. */
  readonly attached: Promise<void>
  /** Settles when nothing of it runs. Never rejects. */
  readonly ended: Promise<void>
  readonly #namespaces: Namespaces
  readonly #watch: AddressWatch
  readonly #follower: AddressFollower = (addresses) => this.#barAlso(addresses)
  readonly #finished = Promise.withResolvers<void>()
  #carrier: Helper | undefined
  #barriers: BarrierSet | undefined
  #over = false

  /**
   * Holds on to the namespaces before it returns: what the process does later does not matter.
   *
   * @param process In the network namespace, and where there is a user namespace, in the one this belongs to.
   * @param onLost Called when the carrier has ended after it was attached: by itself, for new addresses of the host that could not be barred, or by {@link end}.
   * @throws When the process is gone, its network is the server's own, or the kernel refuses another process or descriptor.
   */
  constructor(process: KnownProcess, room: EgressRoom, onLost: () => void) {
    this.#namespaces = new Namespaces(process, room.inUserNamespace)
    this.#watch = watchFor(room)
    this.ended = this.#finished.promise.then(() => this.#untilNothingRuns())
    try {
      this.attached = this.#attach(room, onLost)
    } catch (error) {
      this.end()
      throw error
    }
    this.attached.catch(() => this.end())
  }

  /** Takes the network away. Safe to call any number of times. */
  end(): void {
    if (this.#over) return
    this.#over = true
    this.#carrier?.kill()
    this.#barriers?.kill()
    this.#namespaces.close()
    this.#finished.resolve(this.#watch.leave(this.#follower))
  }

  /** Starts the helpers before it returns. */
  #attach(room: EgressRoom, onLost: () => void): Promise<void> {
    const { programs, inherited } = room
    const carrier = new Helper(
      'slirp4netns',
      carrierCommand(programs, this.#namespaces),
      ['ignore', 'ignore', 'pipe', ...this.#namespaces.descriptors, 'pipe', 'pipe'],
      inherited,
    )
    this.#carrier = carrier
    const barriers = new BarrierSet(this.#namespaces, programs, inherited)
    this.#barriers = barriers
    const barred = barriers.raise(this.#watch.follow(this.#follower))
    return withLimit(Promise.all([untilCarried(carrier), barred])).then(() => void carrier.ended.then(onLost))
  }

  async #barAlso(addresses: Promise<readonly string[]>): Promise<void> {
    try {
      await withLimit(this.#barriers?.raise(addresses))
    } catch {
      // Whoever waits for the carrier learns of it.
      this.end()
    }
  }

  async #untilNothingRuns(): Promise<void> {
    await Promise.all([this.#carrier?.ended, this.#barriers?.idle])
  }
}

function watchFor({ programs, inherited }: EgressRoom): AddressWatch {
  const known = watches.get(programs)
  if (known !== undefined) return known
  const watch = new AddressWatch(programs, inherited)
  watches.set(programs, watch)
  return watch
}

function carrierCommand(programs: EgressPrograms, { ownerOptions }: Namespaces): string[] {
  const { nsenter, unshare, prlimit, slirp4netns } = programs
  return [
    // As root, its clearing away of the file system would reach the host's mounts, which are shared on most hosts: these copies are
    // not. From a user namespace nothing reaches them.
    ...(ownerOptions.length > 0 ? [nsenter, ...ownerOptions, '--'] : [unshare, '--mount', '--']),
    ...(prlimit === undefined ? [] : [prlimit, ...LIMITS, '--']),
    slirp4netns,
    // No API socket, so no ports into the sandbox; no IPv6. It keeps no privileges and sees nothing of the file system.
    ...['--configure', `--mtu=${MTU}`, '--disable-host-loopback', '--enable-sandbox', '--enable-seccomp'],
    ...[`--ready-fd=${READY_FD}`, `--exit-fd=${EXIT_FD}`, '--netns-type=path', NET_PATH, 'tap0'],
  ]
}

async function untilCarried(carrier: Helper): Promise<void> {
  const ready = carrier.pipes[READY_FD]
  if (!(ready instanceof Readable)) throw new Error('the pipe of a helper is missing')
  const ended = carrier.ended.then((why) => {
    throw new Error(why ?? 'slirp4netns ended at once')
  })
  await Promise.race([once(ready, 'data'), ended])
}

async function withLimit(promise: Promise<unknown> | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<void>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('the helpers did not answer in time')), HELPER_TIMEOUT_MS)
  })
  try {
    await Promise.race([promise, limit])
  } finally {
    clearTimeout(timer)
  }
}
