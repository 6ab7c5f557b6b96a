import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { MemoryWatch } from '../../../src/sandbox/memory.ts'
import { chooseSandbox, probeSandboxes } from '../../../src/sandbox/probe.ts'
import type { Sandbox } from '../../../src/sandbox/sandbox.ts'
import {
  eventually,
  firstLine,
  hasPython,
  NODE,
  pidsWith,
  run,
  start,
  uniqueSleep,
  Workbench,
  type Way,
} from '../../sandbox/harness.ts'

const working = (await probeSandboxes()).filter(({ works }) => works).map(({ driver }) => driver)
/** Each driver, and each way that it brings processes into the sandbox. */
const ways = working.flatMap((driver): (readonly [typeof driver, Way])[] => [
  [driver, 'started'],
  ...(driver === 'bwrap' && hasPython ? ([[driver, 'forked']] as const) : []),
])

/** How a program leaves the session and process group of its instance. */
const WAYS_OUT = [
  ['setsid', (mark: string) => `setsid sleep ${mark}`],
  ['twice forked', (mark: string) => `(setsid sh -c 'setsid sleep ${mark} & exit' &)`],
  ['without its environment', (mark: string) => `env -i setsid sleep ${mark}`],
] as const

/** Whether a process has come to its last `exec`: on the way out, others carry the same words. */
function runs(pid: number, program: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'latin1').trim() === program
  } catch {
    return false
  }
}

describe.each(ways)('the %s sandbox, its processes %s', (driver, way) => {
  let workbench: Workbench
  let sandbox: Sandbox

  beforeEach(async () => {
    workbench = new Workbench(way)
    const { zygotes } = workbench
    sandbox = (await chooseSandbox(driver, way === 'forked' ? { zygotes } : {})).sandbox
  })
  afterEach(async () => {
    await sandbox.close()
    workbench.close()
  })

  test('connects descriptor 3 of the program with the channel', async () => {
    const process = await start(sandbox, workbench.shell('read line <&3; echo "heard $line" >&3'))
    process.channel.write('hello\n')
    expect(await firstLine(process)).toBe('heard hello')
    expect(await process.exited).toEqual({ kind: 'exited', exitCode: 0 })
  })

  test('shares the offset of the ticket book with descriptor 4', async () => {
    const process = await start(
      sandbox,
      workbench.shell('dd bs=1 count=2 <&4 2>/dev/null >&3; echo >&3; read line <&3'),
    )
    expect(await firstLine(process)).toBe('ab')
    const next = Buffer.alloc(1)
    readSync(process.tickets?.readFd ?? workbench.ticketsFd, next, 0, 1, null)
    expect(next.toString()).toBe('c')
  })

  test('gives the program nothing of the environment of the server', async () => {
    process.env['ANVOKE_TEST_SECRET'] = 'of the server'
    const { stdout } = await run(sandbox, workbench.shell('env', { environment: { GIVEN: 'a b=c' } }))
    delete process.env['ANVOKE_TEST_SECRET']
    expect(stdout).toContain('GIVEN=a b=c\n')
    expect(stdout).not.toContain('ANVOKE_TEST_SECRET')
  })

  test('passes arguments on as they are', async () => {
    const words = ['a b', '$HOME', '`id`', "it's", '--', '']
    const { stdout } = await run(sandbox, workbench.spec(['/usr/bin/printf', '[%s]', ...words]))
    expect(stdout).toBe(words.map((word) => `[${word}]`).join(''))
  })

  test('runs in the working directory of the specification, where a mount is seen', async () => {
    mkdirSync(join(workbench.dir, 'code'), { mode: 0o755 })
    writeFileSync(join(workbench.dir, 'code', 'index.txt'), 'the code', { mode: 0o644 })
    const mounts = [{ source: join(workbench.dir, 'code'), target: '/code' }]
    const spec = workbench.spec(['/bin/cat', 'index.txt', '/code/index.txt'], { mounts, workDir: '/code' })
    expect((await run(sandbox, spec)).stdout).toBe('the codethe code')
    const seenAs = driver === 'bwrap' ? '/code/sub' : join(workbench.dir, 'code', 'sub')
    const process = await start(sandbox, spec)
    expect(process.locate('/code/sub')).toBe(seenAs)
    await process.exited
  })

  test('tells the exit code', async () => {
    expect((await run(sandbox, workbench.shell('exit 3'))).exit).toEqual({ kind: 'exited', exitCode: 3 })
  })

  test.each(['SIGKILL', 'SIGSEGV', 'SIGABRT', 'SIGTERM'])('tells a death by %s', async (signal) => {
    const { exit } = await run(sandbox, workbench.shell(`kill -${signal.slice(3)} $$`))
    expect(exit).toEqual({ kind: 'signalled', signal })
  })

  // A forked process is the program, which the tests' own then replaces by another: there is none that is not there.
  test.runIf(way === 'started')('tells a program that is not there from one that fails', async () => {
    const { exit } = await run(sandbox, workbench.spec(['/nowhere/program']))
    expect(exit).toEqual({
      kind: 'notStarted',
      reason: expect.stringContaining('/nowhere/program'),
    })
    const failed = await run(sandbox, workbench.shell('exit 127'))
    expect(failed.exit).toEqual({ kind: 'exited', exitCode: 127 })
  })

  test('tells a mount whose source is missing, without throwing', async () => {
    const mounts = [{ source: join(workbench.dir, 'missing'), target: '/code' }]
    const { exit } = await run(sandbox, workbench.spec(['/bin/true'], { mounts, workDir: '/code' }))
    expect(exit.kind).toBe('notStarted')
  })

  // A forked process brings a ticket book of its own.
  test.runIf(way === 'started')('tells an invalid ticket book, without throwing', async () => {
    const { exit } = await run(sandbox, workbench.spec(['/bin/true'], { ticketsFd: 9999 }))
    expect(exit.kind).toBe('notStarted')
  })

  test('hands over everything the program writes', async () => {
    const spec = workbench.shell('head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2')
    const { stdout, stderr } = await run(sandbox, spec)
    expect([stdout.length, stderr.length]).toEqual([1_000_000, 1_000_000])
  })

  test('settles the exit of a program whose output nobody reads', async () => {
    const process = await start(sandbox, workbench.shell('head -c 30000 /dev/zero >&2; exit 4'))
    expect(await process.exited).toEqual({ kind: 'exited', exitCode: 4 })
  })

  test('kills the whole tree: when it has exited, nothing of it runs', async () => {
    const mark = uniqueSleep()
    const process = await start(
      sandbox,
      workbench.shell(`trap "" TERM; while :; do :; done & sleep ${mark} & echo up >&3; wait`),
    )
    await firstLine(process)
    await eventually(() => pidsWith(mark).length === 1)
    process.kill()
    process.kill()
    expect(await process.exited).toEqual({ kind: 'signalled', signal: 'SIGKILL' })
    expect(pidsWith(mark)).toEqual([])
    process.kill()
  })

  test('kills a process that has only just been started', async () => {
    const mark = uniqueSleep()
    const processes = await Promise.all(
      Array.from({ length: 10 }, () => start(sandbox, workbench.shell(`exec sleep ${mark}`))),
    )
    for (const process of processes) process.kill()
    const exits = await Promise.all(processes.map((process) => process.exited))
    expect(exits).toEqual(processes.map(() => ({ kind: 'signalled', signal: 'SIGKILL' })))
    expect(pidsWith(mark)).toEqual([])
  })

  test('ends what the program leaves running behind it', async () => {
    const mark = uniqueSleep()
    // Many, so that ending them takes the kernel a while.
    const left = `sleep ${mark} >/dev/null 2>&1 3>&- 4<&- &`
    const script = `i=0; while [ $i -lt 300 ]; do ${left} i=$((i+1)); done; echo left; exit 0`
    const { exit, stdout } = await run(sandbox, workbench.shell(script))
    expect({ exit, stdout }).toEqual({ exit: { kind: 'exited', exitCode: 0 }, stdout: 'left\n' })
    expect(pidsWith(mark)).toEqual([])
  })

  test.each(WAYS_OUT)('ends a detached grandchild with its instance: %s', async (_way, escape) => {
    const mark = uniqueSleep()
    const process = await start(
      sandbox,
      workbench.shell(`${escape(mark)} & echo up >&3; read line <&3; exit 6`),
    )
    await firstLine(process)
    await eventually(() => pidsWith(mark).some((pid) => runs(pid, 'sleep')))
    process.kill()
    expect(await process.exited).toEqual({ kind: 'signalled', signal: 'SIGKILL' })
    expect(pidsWith(mark)).toEqual([])
  })

  test('ends a detached grandchild of a program that ends by itself', async () => {
    const mark = uniqueSleep()
    const script = `setsid sleep ${mark} >/dev/null 2>&1 & echo up >&3; read line <&3; exit 6`
    const process = await start(sandbox, workbench.shell(script))
    await firstLine(process)
    await eventually(() => pidsWith(mark).some((pid) => runs(pid, 'sleep')))
    process.channel.write('on\n')
    expect(await process.exited).toEqual({ kind: 'exited', exitCode: 6 })
    expect(pidsWith(mark)).toEqual([])
  })

  test('gives each process a temporary directory of its own, empty at first and gone at the end', async () => {
    const script = 'cd "${TMPDIR:-/tmp}" && pwd && ls -A && echo mine > file && ls -A && [ -w "$HOME" ]'
    const first = await run(sandbox, workbench.shell(script))
    const second = await run(sandbox, workbench.shell(script))
    expect(first.exit).toEqual({ kind: 'exited', exitCode: 0 })
    expect(first.stdout.split('\n').slice(1)).toEqual(['file', ''])
    expect(second.stdout.split('\n').slice(1)).toEqual(['file', ''])
    expect(existsSync(join(first.stdout.split('\n')[0] ?? '', 'file'))).toBe(false)
  })

  test('measures the memory of the whole tree, and remembers it after the end', async () => {
    const hold = `const b = Buffer.alloc(40 * 1024 * 1024, 1); require('fs').writeSync(3, 'up\\n'); setInterval(() => b, 1e6)`
    const process = await start(sandbox, workbench.spec(['/bin/sh', '-c', '"$0" -e "$1" & wait', NODE, hold]))
    await firstLine(process)
    const { currentBytes, peakBytes } = await process.memory()
    expect(currentBytes).toBeGreaterThan(40 * 1024 * 1024)
    expect(currentBytes).toBeLessThan(200 * 1024 * 1024)
    expect(peakBytes).toBeGreaterThanOrEqual(currentBytes)
    process.kill()
    await process.exited
    expect(await process.memory()).toEqual({ currentBytes, peakBytes })
  })

  test('is ended when it passes its memory limit, and only then', async () => {
    const watch = new MemoryWatch(10)
    const grow = 'const kept = []; setInterval(() => kept.push(Buffer.alloc(8 * 1024 * 1024, 1)), 5)'
    const greedy = await start(sandbox, workbench.spec([NODE, '-e', grow], { memoryMib: 150 }))
    const modest = await start(sandbox, workbench.shell('read line <&3; exit 5'))
    const mib = 1024 * 1024
    watch.watch(greedy, 150 * mib)
    watch.watch(modest, 150 * mib)
    expect(await greedy.exited).toEqual({ kind: 'outOfMemory' })
    expect((await greedy.memory()).peakBytes).toBeGreaterThan(100 * mib)
    modest.channel.write('on\n')
    expect(await modest.exited).toEqual({ kind: 'exited', exitCode: 5 })
    watch.close()
  })

  // What cgroups count is counted once by the kernel; the watch has to see to it where there are none. Needs a program that forks with
  // much memory of its own: Python.
  test.runIf(hasPython)(
    'counts what a fork shares once, and what its children write themselves',
    async () => {
      const { zygotes } = workbench
      const uncounted = await chooseSandbox(driver, { cgroups: false, ...(way === 'forked' && { zygotes }) })
      const mib = 1024 * 1024
      const watch = new MemoryWatch(10)
      try {
        const forking = `
import os, signal
block = bytearray(b'x' * (90 << 20))
signal.signal(signal.SIGUSR1, lambda *_: None)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
children = [os.fork() or (signal.sigwait([signal.SIGUSR1]), block.__setitem__(slice(None), b'y' * len(block)), signal.pause()) for _ in range(4)]
os.write(3, b'up\\n')
os.read(3, 3)
for child in children: os.kill(child, signal.SIGUSR1)
signal.pause()`
        const process = await start(
          uncounted.sandbox,
          workbench.spec(['/usr/bin/python3', '-c', forking], { memoryMib: 256 }),
        )
        await firstLine(process)
        const seen: number[] = []
        const sampled = new Promise<void>((done) => {
          // Enough for the tree to be walked anew several times.
          const onSample = ({ peakBytes }: { peakBytes: number }): unknown =>
            seen.push(peakBytes) === 16 && done()
          watch.watch(process, 256 * mib, { wantsSample: () => true, onSample })
        })
        expect(await Promise.race([sampled, process.exited])).toBeUndefined()
        expect(Math.max(...seen)).toBeGreaterThan(90 * mib)
        expect(Math.max(...seen)).toBeLessThan(220 * mib)
        expect((await process.memory()).peakBytes).toBeLessThan(220 * mib)
        process.channel.write('on\n')
        expect(await process.exited).toEqual({ kind: 'outOfMemory' })
        expect((await process.memory()).peakBytes).toBeGreaterThan(256 * mib)
      } finally {
        watch.close()
        await uncounted.sandbox.close()
      }
    },
  )

  test('tells the heap limit of Node.js as out of memory', async () => {
    const grow = 'const kept = []; for (;;) kept.push(new Array(10000).fill(Math.random()))'
    const { exit } = await run(sandbox, workbench.spec([NODE, '--max-old-space-size=20', '-e', grow]))
    expect(exit).toEqual({ kind: 'outOfMemory' })
  })

  test('ends everything when it is closed and starts nothing more', async () => {
    const mark = uniqueSleep()
    const process = await start(sandbox, workbench.shell(`echo up >&3; exec sleep ${mark}`))
    await firstLine(process)
    await sandbox.close()
    expect(pidsWith(mark)).toEqual([])
    expect((await run(sandbox, workbench.spec(['/bin/true']))).exit.kind).toBe('notStarted')
  })

  const ENDINGS = [
    ['its tree', (mark: string) => `sleep ${mark}`],
    ...WAYS_OUT.map(([way, escape]) => [`a detached grandchild, ${way}`, escape] as const),
  ] as const
  test.each(ENDINGS)('leaves nothing running when the server is killed: %s', async (_what, left) => {
    const mark = uniqueSleep()
    const script = `${left(mark)} & while :; do :; done & echo up >&3; wait`
    const program = fileURLToPath(new URL('doomed-server.ts', import.meta.url))
    const server = spawn(process.execPath, [program, driver, way, script], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const gone = once(server, 'exit')
    const [line] = await once(createInterface(server.stdout), 'line')
    const dir = String(line).split(' ')[0] ?? ''
    try {
      await eventually(() => pidsWith(mark).some((pid) => runs(pid, 'sleep')) && pidsWith(script).length > 0)
    } finally {
      server.kill('SIGKILL')
    }
    await gone
    await eventually(() => pidsWith(mark).length + pidsWith(script).length === 0)
    rmSync(dir, { recursive: true })
  })
})

test('plain processes work everywhere', () => {
  expect(working).toContain('process')
})
