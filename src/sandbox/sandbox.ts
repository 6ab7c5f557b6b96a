import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'

/** A host path shown read-only to the process. In a driver without namespaces the process sees the host path. */
export interface Mount {
  readonly source: string
  readonly target: string
  /**
   * The source is a directory of the function's own: content that never changes, by a path that never means another. It is
   * needed only after the process has greeted, so it may be put in place after the start.
   */
  readonly holdsCode?: true
}

/**
 * What a process reaches: nothing but a loopback of its own; the world outside, but not the host, its loopback and what it serves;
 * or whatever the host reaches, the host included.
 */
export type NetworkPolicy = 'none' | 'egress' | 'host'

/** What to start. Nothing in it is a shell string; everything is passed as separate arguments. */
export interface SandboxSpec {
  /** Instances of the same function share an unprivileged user id, those of different functions never do. */
  readonly functionId: string
  /** Program and arguments; a path that lies under a mount's target is translated for drivers without namespaces. */
  readonly command: readonly string[]
  /**
   * The command can prepare itself for any function once and then be forked for each, when it is given `--zygote` as a further argument:
   * runtimes/protocol.md, "Zygotes". A driver may make use of it.
   */
  readonly forks?: true
  readonly mounts: readonly Mount[]
  /** The whole environment of the process: nothing is inherited from the server. */
  readonly environment: Readonly<Record<string, string>>
  /** Working directory, a mount's target or under one. */
  readonly workDir: string
  /** Memory the function may use, MiB. */
  readonly memoryMib: number
  /** Size of the private `/tmp`, MiB. */
  readonly diskMib: number
  /** Default `none`. A driver without namespaces has `host` alone, whatever is asked for. */
  readonly network?: NetworkPolicy
  /** Descriptor of the ticket book that the process gets as its descriptor 4. See runtimes/protocol.md. */
  readonly ticketsFd: number
  /** Nobody waits for it yet: until {@link SandboxProcess.hurry}, it gets processors after those that somebody waits for. */
  readonly isAhead?: true
}

/**
 * The file behind a process's descriptor 4, which has no name: `readFd` is the open file description that the process shares,
 * `writeFd` is the server's alone. See runtimes/protocol.md.
 */
export interface TicketFile {
  readonly readFd: number
  readonly writeFd: number
}

export type SandboxExit =
  | { readonly kind: 'exited'; readonly exitCode: number }
  | { readonly kind: 'signalled'; readonly signal: string }
  /** It passed its memory limit, by the language's own limit, the watch or the kernel. */
  | { readonly kind: 'outOfMemory' }
  /** It never ran: `reason` is for the operator, not for callers. */
  | { readonly kind: 'notStarted'; readonly reason: string }

/** Memory of a process tree, bytes. */
export interface MemoryUsage {
  readonly currentBytes: number
  /** Highest since the start, or since the last {@link SandboxProcess.resetPeak}. */
  readonly peakBytes: number
  /** The kernel has ended a part of it for passing the limit; the rest is to follow. */
  readonly overLimit?: boolean
}

/** Wants to know the memory of a process, now and then. */
export interface MemoryFollower {
  /** Asked before each sample. */
  wantsSample(): boolean
  onSample(usage: MemoryUsage): void
}

/** A running sandbox with one process tree. */
export interface SandboxProcess {
  /** The server's end of descriptor 3. */
  readonly channel: Socket
  /** Descriptors 1 and 2. */
  readonly stdout: Readable
  readonly stderr: Readable
  /** Settles once, when nothing of the tree runs any more. */
  readonly exited: Promise<SandboxExit>
  /**
   * Resolves when all that belongs to the process is in place: nothing of the function may be asked of it before. A rejection is a
   * failed start, its message the reason. Absent: it is in place already.
   */
  readonly prepared?: Promise<void>
  /**
   * Where the process was started before it was asked for: the empty ticket file that it has, in place of the one in the
   * specification. From here on the caller's, who closes it.
   */
  readonly tickets?: TicketFile
  /** How the process sees a path that a mount shows: the target, or the source in a driver without namespaces. */
  locate(target: string): string
  /**
   * The kernel counts the memory of the tree, and ends what passes the limit and the size of its files together, at that moment.
   * Somebody has to watch that its memory alone stays within the limit.
   */
  readonly limitsMemory?: boolean
  /** It has no processors: see {@link freeze}. */
  readonly isFrozen?: boolean
  /**
   * Memory of the whole tree; the last known figures once it has ended.
   *
   * @param limitBytes What the tree may have. Figures above it count shared pages once, where the host tells; kept for calls without it.
   */
  memory(limitBytes?: number): Promise<MemoryUsage>
  /**
   * Whether the tree surely has no more than this, and what the kernel counts for it, caches and files in memory included, has grown by
   * at most 1 MiB since {@link memory} was told. Cheap, for looks that are taken often. False says nothing; absent: false.
   */
  staysWithin?(limitBytes: number): boolean
  /** Begins a new peak of {@link memory}. Absent, or false: it still tells the old one. */
  resetPeak?(): Promise<boolean>
  /** Takes all processors from the tree, soon; {@link kill} still ends it. Absent, or without effect, where the host cannot. */
  freeze?(): void
  /** Gives them back; what was sent to it meanwhile is waiting there. A rejection says that it stands still for ever. */
  thaw?(): Promise<void>
  /**
   * Somebody waits for it now: it gets the part of the processors that its memory gives it, soon. Absent, or without effect, where
   * the host cannot give it less before.
   */
  hurry?(): void
  /**
   * Tells the function's own process to end (SIGTERM), thawed before if need be; what it does then is up to its code, and its children
   * are not told. Resolves when that is sent, or the process is not there (any more); a rejection says that it stands still for ever.
   * Absent: it cannot be told.
   */
  terminate?(): Promise<void>
  /**
   * Ends the whole tree at once. Safe to call at any time, any number of times.
   *
   * @param cause Makes the exit one of kind `outOfMemory` instead of `signalled`.
   */
  kill(cause?: 'outOfMemory'): void
}

/** One way to run a process apart from everything else. */
export interface Sandbox {
  readonly name: 'bwrap' | 'process'
  /** Never throws: a failed start is an exit of kind `notStarted`. */
  start(spec: SandboxSpec): SandboxProcess
  /**
   * Makes ready what starts like this one have in common. Resolves when they are as quick as they can be; never rejects, and nobody
   * has to wait. Absent: there is nothing to make ready.
   */
  prepare?(spec: Omit<SandboxSpec, 'functionId' | 'ticketsFd'>): Promise<void>
  /** Memory is short: what was made ready and nothing uses is let go, and not made again before {@link prepare} is asked for it. */
  relieve?(): void
  /** Ends every process that was started and resolves when none runs. May be called again. */
  close(): Promise<void>
}

/** What a probe of the host found about one driver. */
export interface ProbeFinding {
  readonly driver: Sandbox['name']
  readonly works: boolean
  /** Why it works or not, in a sentence for the operator, with what to do about it. */
  readonly detail: string
  /** What a driver that works adds where the host has it: filters, limits, networks. Each shows up in `anvoke doctor`. */
  readonly guards?: readonly GuardFinding[]
}

/** What a probe of the host found about one guard of a driver: the driver works without it, but less is promised. */
export interface GuardFinding {
  /** Such as `system call filter`. */
  readonly name: string
  readonly works: boolean
  /** What it does here, or why it does not and what is lost, for the operator. */
  readonly detail: string
  /** A command that mends it, or what to do in a sentence, where there is something; `detail` may say it, too. */
  readonly fix?: string
}
