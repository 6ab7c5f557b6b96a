import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InheritedDescriptors } from '../inherited-descriptors.ts'
import { notStarted } from '../not-started.ts'
import type { Sandbox, SandboxProcess, SandboxSpec } from '../sandbox.ts'
import { UidPool } from '../uid-pool.ts'
import {
  encodeArguments,
  innerCommand,
  systemArguments,
  type Launchers,
  type Privileges,
} from './arguments.ts'
import { SyntheticEtc } from './etc.ts'
import { BwrapProcess } from './process.ts'

export interface BwrapSettings {
  readonly launchers: Launchers
  readonly privileges: Privileges
  /** Directory for the driver's own small files; default a temporary one that {@link BwrapSandbox.close} removes. */
  readonly stateDir?: string
  /** First user id for functions, default 700 000. */
  readonly uidBase?: number
  /** How many user ids there are, default 65 536. */
  readonly uidCount?: number
}

/** Runs processes in namespaces of their own with bubblewrap. See README for what that promises. */
export class BwrapSandbox implements Sandbox {
  readonly name = 'bwrap'
  readonly #settings: BwrapSettings
  readonly #uids: UidPool
  readonly #system = systemArguments()
  readonly #inherited = new InheritedDescriptors()
  readonly #running = new Set<BwrapProcess>()
  readonly #temporaryDir: string | undefined
  readonly #stateDir: string
  readonly #etc: SyntheticEtc
  #closed = false

  constructor(settings: BwrapSettings) {
    this.#settings = settings
    this.#uids = new UidPool(settings.uidBase, settings.uidCount)
    if (settings.stateDir === undefined) this.#temporaryDir = mkdtempSync(join(tmpdir(), 'anvoke-bwrap-'))
    this.#stateDir = settings.stateDir ?? this.#temporaryDir ?? tmpdir()
    this.#etc = new SyntheticEtc(this.#stateDir)
  }

  start(spec: SandboxSpec): SandboxProcess {
    if (this.#closed) return notStarted('the sandbox is closed')
    const uid = this.#uids.acquire(spec.functionId)
    if (uid === undefined) return notStarted('every user id for functions is in use')
    try {
      const process = this.#launch(spec, uid)
      void this.#attend(process, spec)
      return process
    } catch (error) {
      this.#uids.release(spec.functionId)
      return notStarted(error instanceof Error ? error.message : String(error))
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    const ends = [...this.#running].map((process) => {
      process.kill()
      return process.exited
    })
    await Promise.all(ends)
    if (this.#temporaryDir !== undefined) await rm(this.#temporaryDir, { recursive: true, force: true })
  }

  async #attend(process: BwrapProcess, spec: SandboxSpec): Promise<void> {
    this.#running.add(process)
    await process.exited
    this.#running.delete(process)
    this.#uids.release(spec.functionId)
  }

  #launch(spec: SandboxSpec, uid: number): BwrapProcess {
    const { launchers, privileges } = this.#settings
    return new BwrapProcess({
      bwrap: launchers.bwrap,
      command: innerCommand(spec.command, uid, privileges, launchers),
      argumentsText: encodeArguments(spec, uid, privileges, this.#system, this.#etc),
      ticketsFd: spec.ticketsFd,
      stateDir: this.#stateDir,
      inherited: this.#inherited,
    })
  }
}
