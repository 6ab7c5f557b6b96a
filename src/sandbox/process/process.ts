import { rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { sendKill, sendTerm, startChild, type Child, type ChildPlan } from '../child.ts'
import { exitOf, type RawExit } from '../exit-cause.ts'
import type { InheritedDescriptors } from '../inherited-descriptors.ts'
import { TreeMemory, type TreeUsage } from '../tree-memory.ts'
import { untilGroupGone } from '../proc.ts'
import type { Mount, SandboxExit, SandboxProcess, SandboxSpec } from '../sandbox.ts'
import type { TextTail } from '../text-tail.ts'
import { endMarked, MARK_VARIABLE, markOptions, newMark } from './marks.ts'
import type { Reaper } from './reaper.ts'

/** How the launchers begin the line that says why the program could not be executed. */
const LAUNCHER_COMPLAINT = /^(?:setpriv|prlimit): .*/m

/** Longest wait for the last words on standard error of a process that has ended, when nobody reads them. */
const LAST_WORDS_MS = 100

/** What a process of this driver needs besides its specification. */
export interface PlainLaunch {
  readonly spec: SandboxSpec
  /** Private directory in place of `/tmp`; removed with the process. */
  readonly temporaryDir: string
  /** Path of setpriv, which asks the kernel to kill the process with the server; undefined where the host has none. */
  readonly setpriv: string | undefined
  /** Path of prlimit, which marks the process and all it starts; undefined where the host has none. */
  readonly prlimit: string | undefined
  readonly reaper: Reaper
  readonly inherited: InheritedDescriptors
}

/** One process in a session of its own, as the server's own user, with the host's files and network. */
export class PlainProcess implements SandboxProcess {
  readonly channel: Socket
  readonly stdout: Readable
  readonly stderr: TextTail
  readonly exited: Promise<SandboxExit>
  readonly #pid: number | undefined
  readonly #launch: PlainLaunch
  readonly #mark = newMark()
  readonly #memory = new TreeMemory(() => ({ counted: this.#pid }))
  #killing = false
  #overMemory = false
  #ended = false

  /** @throws When the process cannot be created at all. */
  constructor(launch: PlainLaunch) {
    const { spec, temporaryDir, reaper } = launch
    // Known to the reaper before it exists: the server may be killed at any moment.
    reaper.add(this.#mark)
    const child = startMarked(launch, this.#mark, {
      environment: { ...environmentFor(spec.environment, temporaryDir), [MARK_VARIABLE]: this.#mark },
      workDir: sourceOf(spec.workDir === '/tmp' ? temporaryDir : spec.workDir, spec.mounts),
      // A session and process group of its own, which is what `kill` and the reaper end.
      detached: true,
      ticketsFd: spec.ticketsFd,
      extra: [],
      inherited: launch.inherited,
    })
    this.#launch = launch
    this.#pid = child.process.pid
    this.channel = child.channel
    this.stdout = child.stdout
    this.stderr = child.stderr
    if (this.#pid !== undefined) reaper.add(this.#mark, this.#pid)
    this.exited = this.#supervise(child)
  }

  locate(target: string): string {
    return sourceOf(target, this.#launch.spec.mounts)
  }

  memory(limitBytes?: number): Promise<TreeUsage> {
    return this.#memory.sample(limitBytes)
  }

  terminate(): Promise<void> {
    if (!this.#ended && this.#pid !== undefined) sendTerm(this.#pid)
    return Promise.resolve()
  }

  kill(cause?: 'outOfMemory'): void {
    if (this.#ended) return
    this.#overMemory ||= cause === 'outOfMemory'
    this.#killing = true
    if (this.#pid !== undefined) sendKill(-this.#pid)
  }

  async #supervise(child: Child): Promise<SandboxExit> {
    const raw = await child.ended
    this.#ended = true
    if (this.#pid !== undefined) {
      // Its children must not outlive it, wherever they went.
      sendKill(-this.#pid)
      await endMarked(new Set([this.#mark]))
      await untilGroupGone(this.#pid)
    }
    this.#launch.reaper.remove(this.#mark)
    await this.#memory.close()
    // What the function made unreadable stays; it is in the system's temporary directory.
    await rm(this.#launch.temporaryDir, { recursive: true, force: true, maxRetries: 3 }).catch(
      () => undefined,
    )
    if (raw instanceof Error) return { kind: 'notStarted', reason: raw.message }
    await this.stderr.complete(LAST_WORDS_MS)
    return this.#causeOf(raw)
  }

  #causeOf(raw: RawExit): SandboxExit {
    if (this.#overMemory) return { kind: 'outOfMemory' }
    if (this.#killing) return { kind: 'signalled', signal: 'SIGKILL' }
    const complaint = LAUNCHER_COMPLAINT.exec(this.stderr.text)?.[0]
    const launcherFailed =
      complaint !== undefined &&
      this.channel.bytesRead === 0 &&
      (raw.exitCode === 126 || raw.exitCode === 127)
    return launcherFailed ? { kind: 'notStarted', reason: complaint } : exitOf(raw, this.stderr.text)
  }
}

function startMarked(launch: PlainLaunch, mark: string, plan: Omit<ChildPlan, 'command'>): Child {
  const { spec, setpriv, prlimit, reaper } = launch
  const ending = setpriv === undefined ? [] : [setpriv, '--pdeathsig', 'KILL', '--']
  const marking = prlimit === undefined ? [] : [prlimit, ...markOptions(mark), '--']
  const program = spec.command.map((part) => sourceOf(part, spec.mounts))
  try {
    return startChild({ ...plan, command: [...ending, ...marking, ...program] })
  } catch (error) {
    reaper.remove(mark)
    throw error
  }
}

/** A path under a mount's target as the host knows it; everything else unchanged. */
function sourceOf(path: string, mounts: readonly Mount[]): string {
  const within = mounts.filter(({ target }) => path === target || path.startsWith(`${target}/`))
  const deepest = within.sort((a, b) => b.target.length - a.target.length)[0]
  return deepest === undefined ? path : deepest.source + path.slice(deepest.target.length)
}

function environmentFor(
  environment: SandboxSpec['environment'],
  temporaryDir: string,
): Record<string, string> {
  const home = environment['HOME'] === '/tmp' ? { HOME: temporaryDir } : {}
  return { ...environment, ...home, TMPDIR: temporaryDir }
}
