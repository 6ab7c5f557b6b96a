import { spawnSync } from 'node:child_process'
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { closeTicketFile, makeTicketFile } from '../../src/engine/ticket-file.ts'
import type { ZygoteNeeds } from '../../src/sandbox/bwrap/driver.ts'
import type { Sandbox, SandboxExit, SandboxProcess, SandboxSpec } from '../../src/sandbox/sandbox.ts'
import { ForkedProcess } from '../../src/sandbox/zygote/forked-process.ts'

/** Where {@link Workbench} mounts the Node.js that runs the tests. */
export const NODE = '/anvoke/node/bin/node'

const PYTHON = ['/usr/bin/python3', '-B', '-u', '-s', '-E']

/** Whether the host has a Python that every sandbox sees. */
export const hasPython = spawnSync('/usr/bin/python3', ['-c', '']).status === 0
if (!hasPython)
  process.stderr.write('Processes that are forked are not tested: /usr/bin/python3 does not run.\n')

/** What forked processes need to be shown; see `zygote/programs/forked.py`. */
const FORKING_MOUNTS = [
  [new URL('../../src/runtimes/python', import.meta.url), '/anvoke/bootstrap'],
  [new URL('zygote/programs', import.meta.url), '/anvoke/programs'],
] as const

/** How a process comes into a bwrap sandbox: through a bwrap of its own, or forked from a prepared Python. */
export type Way = 'started' | 'forked'

/** A directory that only the server's user may enter, a ticket book, and specifications that use both. */
export class Workbench {
  readonly dir = mkdtempSync(join(tmpdir(), 'anvoke-sandbox-test-'))
  readonly ticketsFd: number
  /** For drivers whose processes are to be forked. */
  readonly zygotes: ZygoteNeeds = { codeRoots: [this.dir], makeTickets: () => makeTicketFile(this.dir) }
  readonly #way: Way

  /** @param way For which way the specifications are made. */
  constructor(way: Way = 'started') {
    this.#way = way
    writeFileSync(join(this.dir, 'tickets'), 'abcdef')
    this.ticketsFd = openSync(join(this.dir, 'tickets'), 'r')
  }

  spec(command: readonly string[], changes: Partial<SandboxSpec> = {}): SandboxSpec {
    const spec = {
      functionId: 'function-a',
      command,
      mounts: [{ source: process.execPath, target: NODE }],
      environment: { PATH: '/usr/bin:/bin', HOME: '/tmp' },
      workDir: '/tmp',
      memoryMib: 256,
      diskMib: 8,
      ticketsFd: this.ticketsFd,
      ...changes,
    }
    return this.#way === 'started' ? spec : this.#forked(spec)
  }

  /** The same command in a process that is forked; what lies in the directory of the tests is code. */
  #forked(spec: SandboxSpec): SandboxSpec {
    const own = FORKING_MOUNTS.map(([url, target]) => ({ source: fileURLToPath(url), target }))
    return {
      ...spec,
      command: [...PYTHON, '/anvoke/programs/forked.py', ...spec.command],
      forks: true,
      mounts: [
        ...spec.mounts.map((mount) =>
          mount.source.startsWith(this.dir) ? { ...mount, holdsCode: true as const } : mount,
        ),
        ...own,
      ],
    }
  }

  shell(script: string, changes: Partial<SandboxSpec> = {}): SandboxSpec {
    return this.spec(['/bin/sh', '-c', script], changes)
  }

  /** Python that a process runs itself, without executing another program, in either way. */
  python(source: string, changes: Partial<SandboxSpec> = {}): SandboxSpec {
    if (this.#way === 'forked') return this.spec(['-c', source], changes)
    const { forks: _, ...spec } = this.#forked(this.spec(['-c', source], changes))
    return spec
  }

  close(): void {
    closeSync(this.ticketsFd)
    rmSync(this.dir, { recursive: true, force: true })
  }
}

export interface Ran {
  readonly exit: SandboxExit
  readonly stdout: string
  readonly stderr: string
}

/**
 * Starts a process in the way that its specification is for. Its ticket book holds `abcdef`.
 *
 * @throws When it could be forked and is not.
 */
export async function start(sandbox: Sandbox, spec: SandboxSpec): Promise<SandboxProcess> {
  await sandbox.prepare?.(spec)
  const process = sandbox.start(spec)
  const { tickets } = process
  if (tickets !== undefined) {
    writeSync(tickets.writeFd, 'abcdef')
    void process.exited.then(() => closeTicketFile(tickets))
  }
  if (spec.forks !== true || process instanceof ForkedProcess) return process
  const exit = await process.exited
  if (exit.kind !== 'notStarted') throw new Error('it was not forked')
  return process
}

/** Starts and reads to the end. */
export async function run(sandbox: Sandbox, spec: SandboxSpec): Promise<Ran> {
  const process = await start(sandbox, spec)
  const [exit, stdout, stderr] = await Promise.all([
    process.exited,
    text(process.stdout),
    text(process.stderr),
  ])
  return { exit, stdout, stderr }
}

/** Resolves with the first line the process writes to descriptor 3. */
export function firstLine(process: SandboxProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = ''
    process.channel.on('data', (chunk) => {
      said += chunk.toString()
      if (said.includes('\n')) resolve(said.slice(0, said.indexOf('\n')))
    })
    void process.exited.then((exit) => reject(new Error(`ended first: ${JSON.stringify(exit)}`)))
  })
}

let marks = 0

/** A number of seconds to sleep that no other process of this host sleeps: finds the sleeper from outside. */
export function uniqueSleep(): string {
  marks += 1
  return `8${process.pid}.${marks}`
}

/** Process ids, as the host sees them, of what runs with this word on its command line; zombies do not run. */
export function pidsWith(word: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').includes(word)
      } catch {
        return false
      }
    })
}

/** Those of {@link pidsWith} that are zygotes: Pythons in the pid namespace of the tests. bwrap itself is another program. */
export function zygotesWith(word: string): number[] {
  const own = readlinkSync('/proc/self/ns/pid')
  return pidsWith(word).filter((pid) => {
    try {
      const isPython = readFileSync(`/proc/${pid}/comm`, 'latin1').startsWith('python')
      return isPython && readlinkSync(`/proc/${pid}/ns/pid`) === own
    } catch {
      return false
    }
  })
}

/** Clock ticks that a process has used. */
export function ticksOf(pid: number): number {
  const fields = statOf(pid)
  return Number(fields[11]) + Number(fields[12])
}

/** When a process started, clock ticks after boot. */
export function startOf(pid: number): number {
  return Number(statOf(pid)[19])
}

/** What the kernel tells of a process behind its name; proc(5). */
function statOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/** Polls, for at most ten seconds unless told otherwise, until `probe` is satisfied. For what other processes do and nobody reports. */
export async function eventually(
  probe: () => boolean | Promise<boolean>,
  patienceMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + patienceMs
  while (!(await probe())) {
    if (performance.now() > deadline) throw new Error(`not within ${patienceMs} ms: ${probe.toString()}`)
    await delay(5)
  }
}
