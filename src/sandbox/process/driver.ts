import { rm } from 'node:fs/promises'
import { InheritedDescriptors } from '../inherited-descriptors.ts'
import { notStarted } from '../not-started.ts'
import type { Sandbox, SandboxProcess, SandboxSpec } from '../sandbox.ts'
import { PlainProcess } from './process.ts'
import { Reaper } from './reaper.ts'
import { TemporaryDirs } from './temporary-dirs.ts'

export interface ProcessSettings {
  /** Path of setpriv, undefined where the host has none: then only the reaper ends what a killed server leaves. */
  readonly setpriv?: string | undefined
  /** Path of prlimit, undefined where the host has none: then a process that clears its environment can get away. */
  readonly prlimit?: string | undefined
}

/** Said at start wherever this driver is used. */
export const PROCESS_WARNING =
  'Functions run WITHOUT isolation: as plain processes of this user they can read and change every file this user can, ' +
  'see other processes and use the network. Run only code you trust.'

/** Runs processes side by side with the server, protected from nothing but its death. See {@link PROCESS_WARNING}. */
export class ProcessSandbox implements Sandbox {
  readonly name = 'process'
  readonly #settings: ProcessSettings
  readonly #inherited = new InheritedDescriptors()
  readonly #temporaryDirs = new TemporaryDirs()
  readonly #reaper = new Reaper(this.#temporaryDirs.roots)
  readonly #running = new Set<PlainProcess>()
  #closed = false

  constructor(settings: ProcessSettings = {}) {
    this.#settings = settings
  }

  start(spec: SandboxSpec): SandboxProcess {
    if (this.#closed) return notStarted('the sandbox is closed')
    let temporaryDir: string | undefined
    try {
      temporaryDir = this.#temporaryDirs.take()
      const process = new PlainProcess({
        spec,
        temporaryDir,
        setpriv: this.#settings.setpriv,
        prlimit: this.#settings.prlimit,
        reaper: this.#reaper,
        inherited: this.#inherited,
      })
      void this.#attend(process)
      return process
    } catch (error) {
      if (temporaryDir !== undefined)
        void rm(temporaryDir, { recursive: true, force: true }).catch(() => undefined)
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
    await this.#reaper.close()
    await this.#temporaryDirs.close()
  }

  async #attend(process: PlainProcess): Promise<void> {
    this.#running.add(process)
    await process.exited
    this.#running.delete(process)
  }
}
