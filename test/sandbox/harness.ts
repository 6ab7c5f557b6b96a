import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import type { Sandbox, SandboxExit, SandboxProcess, SandboxSpec } from '../../src/sandbox/sandbox.ts'

/** Where {@link Workbench} mounts the Node.js that runs the tests. */
export const NODE = '/anvoke/node/bin/node'

/** A directory that only the server's user may enter, a ticket book, and specifications that use both. */
export class Workbench {
  readonly dir = mkdtempSync(join(tmpdir(), 'anvoke-sandbox-test-'))
  readonly ticketsFd: number

  constructor() {
    writeFileSync(join(this.dir, 'tickets'), 'abcdef')
    this.ticketsFd = openSync(join(this.dir, 'tickets'), 'r')
  }

  spec(command: readonly string[], changes: Partial<SandboxSpec> = {}): SandboxSpec {
    return {
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
  }

  shell(script: string, changes: Partial<SandboxSpec> = {}): SandboxSpec {
    return this.spec(['/bin/sh', '-c', script], changes)
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

/** Starts and reads to the end. */
export async function run(sandbox: Sandbox, spec: SandboxSpec): Promise<Ran> {
  const process = sandbox.start(spec)
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
