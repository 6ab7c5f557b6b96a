import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CgroupTree } from '../../../src/sandbox/cgroup/tree.ts'
import { sendKill } from '../../../src/sandbox/child.ts'
import { chooseSandbox, probeSandboxes } from '../../../src/sandbox/probe.ts'
import type { Sandbox, SandboxProcess, SandboxSpec, TicketFile } from '../../../src/sandbox/sandbox.ts'
import { ForkedProcess } from '../../../src/sandbox/zygote/forked-process.ts'
import { MOST_CHILDREN } from '../../../src/sandbox/zygote/zygote.ts'
import { groupsNamed } from '../cgroup/groups-of.ts'
import {
  eventually,
  hasPython,
  pidsWith,
  run,
  start,
  uniqueSleep,
  Workbench,
  zygotesWith,
} from '../harness.ts'
import { Servant, SERVANT } from './servant.ts'

const MIB = 1024 * 1024
const works = (await probeSandboxes()).some((finding) => finding.driver === 'bwrap' && finding.works)
const tree = await CgroupTree.open()
await tree.close()
const limitsMemory = tree.finding.controllers.has('memory')

/** What the tests hold open themselves, but for stand-ins. */
function descriptors(): string[] {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) !== '/dev/null'
    } catch {
      return false
    }
  })
}

// Needs a sandbox, and a Python in it.
describe.runIf(works && hasPython)('processes forked from a zygote', () => {
  let workbench: Workbench
  let stateDir: string
  let sandbox: Sandbox
  let ticketFiles = 0
  /** Tells the zygotes of one test from everything else on the host. */
  let mark: string

  beforeEach(async () => {
    workbench = new Workbench('forked')
    stateDir = mkdtempSync(join(tmpdir(), 'anvoke-zygote-test-'))
    mark = uniqueSleep()
    ticketFiles = 0
    const makeTickets = (): TicketFile => {
      ticketFiles += 1
      return workbench.zygotes.makeTickets()
    }
    const zygotes = { ...workbench.zygotes, makeTickets }
    sandbox = (await chooseSandbox('bwrap', { stateDir, zygotes })).sandbox
    // What the probe tried is no matter here.
    ticketFiles = 0
  })
  afterEach(async () => {
    await sandbox.close()
    expect(pidsWith(mark)).toEqual([])
    expect(readdirSync(stateDir)).toEqual([])
    workbench.close()
    rmSync(stateDir, { recursive: true, force: true })
  })

  function servantSpec(changes: Partial<SandboxSpec> = {}): SandboxSpec {
    return workbench.spec(['-c', SERVANT, mark], changes)
  }

  async function serve(changes: Partial<SandboxSpec> = {}): Promise<Servant> {
    return new Servant(await start(sandbox, servantSpec(changes)))
  }

  const zygotePids = (): number[] => zygotesWith(mark)

  test('are all forked, more of them than one zygote can have', async () => {
    const servants: Servant[] = []
    for (let count = 0; count < MOST_CHILDREN * 2 + 2; count += 1) servants.push(await serve())
    const told = await Promise.all(servants.map((servant) => servant.ask('told = 1')))
    expect(told).toEqual(servants.map(() => '1'))
    await eventually(() => zygotePids().length === 3)
    for (const { process } of servants) process.kill()
    const exits = await Promise.all(servants.map(({ process }) => process.exited))
    expect(exits).toEqual(servants.map(() => ({ kind: 'signalled', signal: 'SIGKILL' })))
    // Those that can have no more children end with their last one.
    await eventually(() => zygotePids().length === 1)
  })

  test('are all forked when they are wanted at once', async () => {
    await sandbox.prepare?.(servantSpec())
    const processes = Array.from({ length: MOST_CHILDREN }, () => sandbox.start(servantSpec()))
    expect(processes.map((process) => process instanceof ForkedProcess)).toEqual(processes.map(() => true))
    const servants = processes.map((process) => new Servant(process))
    expect(await Promise.all(servants.map((servant) => servant.ask('told = os.getpid()')))).toEqual(
      processes.map(() => '2'),
    )
    for (const process of processes) process.kill()
    await Promise.all(processes.map(({ exited }) => exited))
  })

  test('end with their zygote, each once, and later ones are served again', async () => {
    const servants = [await serve(), await serve(), await serve()]
    await Promise.all(servants.map((servant) => servant.ask('told = os.fork()')))
    const [zygote = 0] = zygotePids()
    let exits = 0
    for (const { process } of servants) void process.exited.then(() => (exits += 1))
    sendKill(zygote)
    const ended = await Promise.all(servants.map(({ process }) => process.exited))
    expect(ended).toEqual(servants.map(() => ({ kind: 'signalled', signal: 'SIGKILL' })))
    await eventually(() => zygotePids().length === 0)
    expect(exits).toBe(3)
    expect(pidsWith(mark)).toEqual([])
    // At once, if need be without one.
    const next = new Servant(sandbox.start(servantSpec()))
    expect(await next.ask('told = 5')).toBe('5')
    expect((await serve()).process).toBeInstanceOf(ForkedProcess)
  })

  test('go on when the host has nothing to make another one with', async () => {
    const servants = [await serve(), await serve()]
    await Promise.all(servants.map((servant) => servant.ask('told = 1')))
    const [zygote = 0] = zygotePids()
    // No descriptor more for it: as when the host runs out of processes, it cannot begin.
    expect(spawnSync('prlimit', ['--pid', String(zygote), '--nofile=8:8']).status).toBe(0)
    const refused = await start(sandbox, servantSpec())
    expect(await refused.exited).toMatchObject({
      kind: 'notStarted',
      reason: expect.stringContaining('Too many open files'),
    })
    expect(await Promise.all(servants.map((servant) => servant.ask('told = 2')))).toEqual(['2', '2'])
    for (const { process } of servants) process.kill()
    await Promise.all(servants.map(({ process }) => process.exited))
  })

  test('can be ended although their zygote hangs, whether they are born or not', async () => {
    const born = await serve()
    await born.ask('told = 1')
    const [zygote = 0] = zygotePids()
    process.kill(zygote, 'SIGSTOP')
    const unborn = await start(sandbox, servantSpec())
    born.process.kill()
    unborn.kill()
    expect(await born.process.exited).toEqual({ kind: 'signalled', signal: 'SIGKILL' })
    expect(await unborn.exited).toEqual({ kind: 'signalled', signal: 'SIGKILL' })
    await eventually(() => zygotePids().length === 0)
  }, 30_000)

  test('keep their zygote when memory is short; without them it ends, and none is started before one is asked for', async () => {
    const servant = await serve()
    expect(await servant.ask('told = 1')).toBe('1')
    sandbox.relieve?.()
    const [zygote = 0] = zygotePids()
    const other = new Servant(sandbox.start(servantSpec()))
    expect(other.process).toBeInstanceOf(ForkedProcess)
    expect(await other.ask('told = 2')).toBe('2')
    expect(zygotePids()).toEqual([zygote])
    for (const { process } of [servant, other]) process.kill()
    await Promise.all([servant, other].map(({ process }) => process.exited))
    sandbox.relieve?.()
    await eventually(() => zygotePids().length === 0)
    const made = ticketFiles
    const direct = sandbox.start(servantSpec())
    expect(direct).not.toBeInstanceOf(ForkedProcess)
    direct.kill()
    await direct.exited
    expect(ticketFiles).toBe(made)
    expect((await serve()).process).toBeInstanceOf(ForkedProcess)
  })

  test('whose zygote cannot be made are started in the ordinary way, and it is not tried again at once', async () => {
    const script = 'for last; do :; done; [ "$last" = --zygote ] && exit 3; exit 5'
    const failing = { ...workbench.shell(''), command: ['/bin/sh', '-c', script, 'sh', mark] }
    for (let times = 0; times < 3; times += 1) {
      await sandbox.prepare?.(failing)
      const process = sandbox.start(failing)
      expect(process).not.toBeInstanceOf(ForkedProcess)
      expect(await process.exited).toEqual({ kind: 'exited', exitCode: 5 })
    }
    expect(ticketFiles).toBe(MOST_CHILDREN)
  })

  test('can be killed at any moment, which their neighbours do not notice', async () => {
    const neighbour = await serve()
    const killed: SandboxProcess[] = []
    for (let index = 0; index < 12; index += 1) {
      const process = await start(sandbox, servantSpec())
      killed.push(process)
      // Before it is born, while it is isolated, when it runs.
      if (index % 3 === 1) await eventually(() => pidsWith(mark).length > 3)
      if (index % 3 === 2) await new Servant(process).ask('told = 1')
      process.kill()
      process.kill()
    }
    const exits = await Promise.all(killed.map(({ exited }) => exited))
    expect(exits).toEqual(killed.map(() => ({ kind: 'signalled', signal: 'SIGKILL' })))
    expect(await neighbour.ask('told = "well"')).toBe('well')
    killed[0]?.kill()
  })

  test.each([
    ['import sys; sys.exit(7)', { kind: 'exited', exitCode: 7 }],
    ['pass', { kind: 'exited', exitCode: 0 }],
    ['import os, signal; os.kill(os.getpid(), signal.SIGTERM)', { kind: 'signalled', signal: 'SIGTERM' }],
    ['import ctypes; ctypes.string_at(0)', { kind: 'signalled', signal: 'SIGSEGV' }],
    [
      'import os, threading, time\nthreading.Thread(target=lambda: os._exit(9)).start()\ntime.sleep(100)',
      { kind: 'exited', exitCode: 9 },
    ],
  ])('tell how they end: %s', async (source, exit) => {
    expect((await run(sandbox, workbench.python(source))).exit).toEqual(exit)
  })

  test('leave nothing behind that outlives them', async () => {
    const servant = await serve()
    const sleeper = uniqueSleep()
    const source = `pid = os.fork();;if pid == 0:;;    os.setsid();;    os.execv("/usr/bin/sleep", ["sleep", "${sleeper}"]);;told = pid`
    await servant.ask(source)
    await eventually(() => pidsWith(sleeper).length === 1)
    servant.process.channel.write('os._exit(4)\n')
    expect(await servant.process.exited).toEqual({ kind: 'exited', exitCode: 4 })
    expect(pidsWith(sleeper)).toEqual([])
  })

  test('share no place, no socket, no segment, no process, and have no terminal', async () => {
    const [one, other] = [await serve(), await serve()]
    await one.ask('for place in ("/tmp", "/dev/shm"): open(place + "/mine", "w").write("x")')
    await one.ask(
      'listener = socket.socket(socket.AF_UNIX);;listener.bind(chr(0) + "mine");;listener.listen()',
    )
    await one.ask('port = socket.socket();;port.bind(("127.0.0.1", 8099));;port.listen()')
    await one.ask('import ctypes;;libc = ctypes.CDLL(None);;told = libc.shmget(77, 4096, 0o1666) >= 0')
    expect(await one.ask('try: os.openpty();;except OSError as error: told = error.errno')).toBe('2')
    expect(await other.ask('told = [os.listdir(place) for place in ("/tmp", "/dev/shm", "/dev/pts")]')).toBe(
      '[[], [], []]',
    )
    const connects = (family: string, address: string): string =>
      `told = socket.socket(socket.${family}).connect_ex(${address})`
    expect(await one.ask(connects('AF_UNIX', 'chr(0) + "mine"'))).toBe('0')
    expect(await other.ask(connects('AF_UNIX', 'chr(0) + "mine"'))).toBe('111')
    expect(await one.ask(connects('AF_INET', '("127.0.0.1", 8099)'))).toBe('0')
    expect(await other.ask(connects('AF_INET', '("127.0.0.1", 8099)'))).toBe('111')
    expect(await other.ask('import ctypes;;told = ctypes.CDLL(None).shmget(77, 4096, 0)')).toBe('-1')
    expect(
      await other.ask('told = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())'),
    ).toBe('[1, 2]')
  })

  test('see each the code that is theirs alone', async () => {
    const serveCode = async (name: string): Promise<Servant> => {
      const source = join(workbench.dir, name)
      mkdirSync(source)
      chmodSync(source, 0o755)
      writeFileSync(join(source, name), 'code', { mode: 0o644 })
      const spec = servantSpec({ functionId: name })
      const mounts = [...spec.mounts, { source, target: '/code', holdsCode: true as const }]
      return new Servant(await start(sandbox, { ...spec, mounts }))
    }
    const [first, second] = [await serveCode('one'), await serveCode('other')]
    expect(zygotePids()).toHaveLength(1)
    expect(await first.ask('told = os.listdir("/code")')).toBe("['one']")
    expect(await second.ask('told = os.listdir("/code")')).toBe("['other']")
    const writes = 'try: open("/code/x", "w");;except OSError as error: told = error.errno'
    expect(await second.ask(writes)).toBe('30')
    expect(await first.ask('told = os.getuid()')).not.toBe(await second.ask('told = os.getuid()'))
  })

  test('cannot keep their zygote busy by being stopped and continued', async () => {
    const servant = await serve()
    const [zygote = 0] = zygotePids()
    const wakeUps = (): number =>
      Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(readFileSync(`/proc/${zygote}/status`, 'latin1'))?.[1])
    await servant.ask('import signal, time;;me = os.getpid()')
    const before = wakeUps()
    // At a pace at which signals do not become one.
    const round = 'os.kill(me, signal.SIGSTOP), time.sleep(0.001), os.kill(me, signal.SIGCONT)'
    const stops = `pid = os.fork();;if pid == 0:;;    for _ in range(300): ${round};;    os._exit(0);;told = os.waitpid(pid, 0)[1]`
    expect(await servant.ask(stops)).toBe('0')
    expect(wakeUps() - before).toBeLessThan(50)
  })

  test('do not draw the same numbers', async () => {
    const draws =
      'import random, secrets, tempfile, uuid;;told = [random.random(), secrets.token_hex(8), uuid.uuid4().hex, tempfile.mktemp(), os.urandom(4).hex()]'
    const [one, other] = [await serve(), await serve()]
    const mine = (await one.ask(draws)).split(', ')
    const its = (await other.ask(draws)).split(', ')
    expect(mine).toHaveLength(5)
    expect(mine.filter((drawn) => its.includes(drawn))).toEqual([])
  })

  // Without cgroups memory is what the processes say, part of which they share.
  test.runIf(limitsMemory)('are told their own memory, and not their neighbour’s', async () => {
    const [one, other] = [await serve(), await serve()]
    await one.ask(`kept = bytearray(b"x") * (80 * ${MIB})`)
    await other.ask('kept = 1')
    const [mine, its] = [await one.process.memory(), await other.process.memory()]
    expect(mine.currentBytes).toBeGreaterThan(80 * MIB)
    expect(its.peakBytes).toBeLessThan(20 * MIB)
    expect(its.currentBytes).toBeGreaterThan(0)
  })

  test('leave no process, no group and no descriptor of the server when all is closed', async () => {
    const groupsBefore = groupsNamed(`-${process.pid}-`)
    const second = (await chooseSandbox('bwrap', { stateDir, zygotes: workbench.zygotes })).sandbox
    const before = descriptors().length
    const servants = await Promise.all([start(second, servantSpec()), start(second, servantSpec())])
    await Promise.all(servants.map((one) => new Servant(one).ask('told = 1')))
    await second.close()
    await Promise.all(servants.map(({ exited }) => exited))
    expect(pidsWith(mark)).toEqual([])
    expect(groupsNamed(`-${process.pid}-`).filter((group) => !groupsBefore.includes(group))).toEqual([])
    await eventually(() => descriptors().length <= before)
  })
})
