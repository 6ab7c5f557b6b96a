import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  KERNEL_LIMITS,
  largestFileBytes,
  SHARED_MEMORY_BYTES,
  taskLimit,
  type Privileges,
} from '../bwrap/arguments.ts'
import { HOST_NAME, type SyntheticEtc } from '../bwrap/etc.ts'
import type { CgroupGroup } from '../cgroup/group.ts'
import type { InheritedDescriptors } from '../inherited-descriptors.ts'
import { nameServersText } from '../network/name-servers.ts'
import type { SandboxSpec, TicketFile } from '../sandbox.ts'
import { HIDDEN, type ForkOrder } from './messages.ts'
import { seenAt, zygoteArguments, type HiddenPlaces, type ZygoteClass } from './view.ts'
import { Zygote, type Fork } from './zygote.ts'
import { Zygotes } from './zygotes.ts'

const MIB = 1024 * 1024

/** What the zygotes of a driver have in common with its other processes. */
export interface ZygoteRoomSettings extends HiddenPlaces {
  readonly bwrap: string
  readonly privileges: Privileges
  readonly filter: Buffer | undefined
  readonly birthTimeoutMs: number
  readonly system: readonly string[]
  readonly etc: SyntheticEtc
  readonly inherited: InheritedDescriptors
  readonly makeTickets: () => TicketFile
}

/** Turns specifications into orders for zygotes. */
export class ZygoteRoom {
  readonly #settings: ZygoteRoomSettings
  readonly #zygotes: Zygotes
  readonly #nameServers: string
  #toldNameServers = ''

  constructor(settings: ZygoteRoomSettings) {
    this.#settings = settings
    this.#nameServers = join(settings.stateDir, 'resolv.conf')
    this.#tellNameServers()
    // Set after creation: the server's umask must not take it away.
    chmodSync(this.#nameServers, 0o644)
    this.#zygotes = new Zygotes((zygoteClass) => this.#start(zygoteClass))
  }

  /** Resolves when {@link fork} can serve such a start, or cannot for now. Never rejects. */
  async prepare(spec: Omit<SandboxSpec, 'functionId' | 'ticketsFd'>): Promise<void> {
    await this.#zygotes.prepare(spec)
  }

  /** Lets go the zygotes that have no children, and starts none before the next {@link prepare}. */
  relieve(): void {
    this.#zygotes.relieve()
  }

  /**
   * @param group Its limits; it enters them once they are set.
   * @returns Undefined where the process is to be started in the ordinary way.
   */
  fork(spec: SandboxSpec, uid: number, group: CgroupGroup | undefined): Fork | undefined {
    return this.#zygotes.fork(spec, () => this.#orderFor(spec, uid, group), group?.ready)
  }

  /** Ends them all, with their children. */
  async close(): Promise<void> {
    await this.#zygotes.close()
  }

  /** In place: zygotes see the file itself. */
  #tellNameServers(): void {
    const text = nameServersText()
    if (text === this.#toldNameServers) return
    writeFileSync(this.#nameServers, text)
    this.#toldNameServers = text
  }

  #start(zygoteClass: ZygoteClass): Zygote {
    const { privileges, filter, system, etc, ...rest } = this.#settings
    return new Zygote({
      ...rest,
      command: zygoteClass.command,
      argumentsText: zygoteArguments(zygoteClass, rest, privileges, system, etc, this.#nameServers),
      config: {
        filter: filter?.toString('base64') ?? null,
        ownUserNamespace: privileges === 'ownUserNamespace',
        hostName: HOST_NAME,
        hidden: HIDDEN,
        sharedMemoryBytes: SHARED_MEMORY_BYTES,
      },
    })
  }

  /** @returns Undefined where something that it is to see or enter is not in a zygote's view. */
  #orderFor(spec: SandboxSpec, uid: number, group: CgroupGroup | undefined): ForkOrder | undefined {
    if (spec.network === 'egress') this.#tellNameServers()
    const etc = this.#settings.etc.directoryFor(uid)
    const shown = [
      ...['passwd', 'group'].map((name) => [join(etc, name), join('/etc', name)] as const),
      ...spec.mounts
        .filter(({ holdsCode }) => holdsCode === true)
        .map(({ source, target }) => [source, target] as const),
    ]
    const mounts: (readonly [string, string])[] = []
    for (const [source, target] of shown) {
      const seen = seenAt(source, this.#settings)
      if (seen === undefined) return undefined
      mounts.push([seen, target])
    }
    const entries: string[] = []
    for (const entry of group?.entries ?? []) {
      const seen = seenAt(entry, this.#settings)
      if (seen === undefined) return undefined
      entries.push(seen)
    }
    return {
      uid,
      entries,
      mounts,
      ownNetwork: spec.network !== 'host',
      tmpBytes: Math.max(1, spec.diskMib) * MIB,
      limits: {
        ...KERNEL_LIMITS,
        fileBytes: largestFileBytes(spec.diskMib),
        tasks: taskLimit(this.#settings.privileges) ?? null,
      },
      workDir: spec.workDir,
    }
  }
}
