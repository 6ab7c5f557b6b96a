import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { Socket } from 'node:net'
import { Readable } from 'node:stream'
import type { RawExit } from './exit-cause.ts'
import type { InheritedDescriptors } from './inherited-descriptors.ts'
import { TextTail } from './text-tail.ts'

/** A child process with the descriptors of the instance protocol. */
export interface Child {
  readonly process: ChildProcess
  readonly channel: Socket
  readonly stdout: Readable
  readonly stderr: TextTail
  /** The server's ends of the pipes after descriptor 4. */
  readonly extra: readonly Socket[]
  /** How it ended, or why it never began. Never rejects. */
  readonly ended: Promise<RawExit | Error>
}

/** How to start a {@link Child}. Must be called on the main thread: the death signal follows the starting thread. */
export interface ChildPlan {
  readonly command: readonly string[]
  /** The whole environment: nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>
  readonly workDir: string
  /** Whether it leads a session and process group of its own. */
  readonly detached: boolean
  /** Becomes descriptor 4. */
  readonly ticketsFd: number
  /** What it gets from descriptor 5 on: a new two-way pipe, or an open descriptor of the server. */
  readonly extra: readonly ('pipe' | number)[]
  readonly inherited: InheritedDescriptors
}

/** @throws When the kernel refuses another process or descriptor. */
export function startChild(plan: ChildPlan): Child {
  const { command, environment, workDir, detached, ticketsFd, inherited } = plan
  const [program = '', ...args] = command
  const stdio: StdioOptions = inherited.shadow(['ignore', 'pipe', 'pipe', 'pipe', ticketsFd, ...plan.extra])
  const child = spawn(program, args, { cwd: workDir, env: { ...environment }, detached, stdio })
  const ended = endOf(child)
  const [, stdout, stderr, channel, , ...rest]: readonly unknown[] = child.stdio
  const extra = rest.filter((pipe) => pipe instanceof Socket)
  if (!(stdout instanceof Readable && stderr instanceof Readable && channel instanceof Socket))
    throw new Error('the pipes of a new process are missing')
  // A peer that is gone is told by `ended`; an error nobody listens to would end the server.
  for (const stream of [channel, stdout, stderr, ...extra]) stream.on('error', () => undefined)
  return { process: child, channel, stdout, stderr: stderr.pipe(new TextTail()), extra, ended }
}

function endOf(child: ChildProcess): Promise<RawExit | Error> {
  return new Promise((resolve) => {
    child.once('error', resolve)
    child.once('exit', (exitCode, signal) => resolve({ exitCode, signal }))
  })
}

/** Sends SIGKILL to a process, or with a negative pid to its group; one that has just ended is no error. */
export function sendKill(pid: number): void {
  send(pid, 'SIGKILL')
}

/** Sends SIGTERM to a process; one that has just ended is no error. */
export function sendTerm(pid: number): void {
  send(pid, 'SIGTERM')
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It ended on its own in this moment.
  }
}
