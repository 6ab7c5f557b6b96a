import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CONTROLLERS } from '../../../src/sandbox/cgroup/limits.ts'
import { CgroupTree } from '../../../src/sandbox/cgroup/tree.ts'
import { MemoryWatch } from '../../../src/sandbox/memory.ts'
import { chooseSandbox, probeSandboxes } from '../../../src/sandbox/probe.ts'
import type { Sandbox, SandboxProcess } from '../../../src/sandbox/sandbox.ts'
import { eventually, firstLine, NODE, pidsWith, run, ticksOf, uniqueSleep, Workbench } from '../harness.ts'
import { figureOf, groupsNamed, groupsOf } from './groups-of.ts'

const MIB = 1024 * 1024
const isRoot = process.getuid?.() === 0
const probe = await CgroupTree.open()
await probe.close()
const { controllers, freezes } = probe.finding
const isolates = (await probeSandboxes()).some(({ driver, works }) => driver === 'bwrap' && works)

test('what was found out is said in words, and leaves nothing behind', () => {
  expect(probe.finding.detail).toMatch(/^[A-Z].*\.$/)
  expect(groupsNamed(`-${process.pid}-`)).toEqual([])
})

// Needs a hierarchy that counts processes.
test.runIf(controllers.has('pids'))(
  'all functions together have at most half of the processes of the host',
  async () => {
    const tree = await CgroupTree.open()
    const most = figureOf(tree.dirs, 'pids.max')
    await tree.close()
    expect(most).toBeGreaterThan(0)
    expect(most).toBeLessThanOrEqual(Number(readFileSync('/proc/sys/kernel/pid_max', 'latin1')) / 2)
  },
)

test('what the kernel does not limit is named', () => {
  const { detail } = probe.finding
  const named = [/memory is watched/i, /processes are counted/i, /processors are not shared/i].map((words) =>
    words.test(detail),
  )
  expect(named).toEqual(CONTROLLERS.map((one) => !controllers.has(one)))
})

// Needs a hierarchy that can be written.
test.runIf(controllers.size > 0)('a group is removed with what was left running in it', async () => {
  const tree = await CgroupTree.open()
  const group = tree.create({ memoryBytes: 64 * MIB, tasks: 16, cpuWeight: 64 })
  if (group === undefined) throw new Error('no group')
  await group.ready
  const [entry = ''] = group.entries
  // It enters by itself, as instances do.
  const left = spawn('/bin/sh', ['-c', `echo 0 > "$0" && exec sleep ${uniqueSleep()}`, entry], {
    stdio: 'ignore',
  })
  const ended = once(left, 'exit')
  await eventually(() =>
    readFileSync(entry.replace(/tasks$/, 'cgroup.procs'), 'latin1').includes(`${left.pid}`),
  )
  await tree.remove(group)
  expect((await ended)[1]).toBe('SIGKILL')
  expect(existsSync(dirname(entry))).toBe(false)
  await tree.close()
})

const limits = isolates && controllers.size === 3
// Where cgroups cannot be written the finding says so, which is tested below.
describe.runIf(limits)('a function in its group', () => {
  let workbench: Workbench
  let sandbox: Sandbox

  beforeEach(async () => {
    workbench = new Workbench()
    sandbox = (await chooseSandbox('bwrap')).sandbox
  })
  afterEach(async () => {
    await sandbox.close()
    workbench.close()
    expect(groupsNamed(`-${process.pid}-`)).toEqual([])
  })

  /** Starts a process with a sleeping child, by which it is found from outside. */
  async function startMarked(
    script: string,
    changes = {},
  ): Promise<{ process: SandboxProcess; groups: string[] }> {
    const mark = uniqueSleep()
    const process = sandbox.start(workbench.shell(`sleep ${mark} & ${script}`, changes))
    process.stdout.resume()
    process.stderr.resume()
    await eventually(() => pidsWith(mark).length === 1)
    return { process, groups: groupsOf(pidsWith(mark)[0] ?? 0) }
  }

  test('is ended the moment it passes its memory and the size of its files together, and told so', async () => {
    const grow = 'const kept = []; for (;;) kept.push(Buffer.alloc(8 * 1024 * 1024, 1))'
    const process = sandbox.start(workbench.spec([NODE, '-e', grow], { memoryMib: 72, diskMib: 8 }))
    expect(process.limitsMemory).toBe(true)
    expect(await process.exited).toEqual({ kind: 'outOfMemory' })
    const { peakBytes } = await process.memory()
    expect(peakBytes).toBeGreaterThan(60 * MIB)
    expect(peakBytes).toBeLessThanOrEqual(96 * MIB)
  })

  test('may fill its temporary directory whatever its memory, and that is no memory of its own', async () => {
    const script = 'head -c 100000000 /dev/zero > /tmp/a; echo x >&3; read line <&3'
    const process = sandbox.start(workbench.shell(script, { memoryMib: 48, diskMib: 200 }))
    const stop = new MemoryWatch(10).watch(process, 48 * MIB)
    await once(process.channel, 'data')
    expect((await process.memory()).currentBytes).toBeLessThan(48 * MIB)
    process.channel.write('go\n')
    expect(await process.exited).toEqual({ kind: 'exited', exitCode: 0 })
    stop()
  })

  test('is ended by the watch when its memory alone passes the limit', async () => {
    const grow = 'const kept = Buffer.alloc(100 * 1024 * 1024, 1); setInterval(() => kept, 1000)'
    const process = sandbox.start(workbench.spec([NODE, '-e', grow], { memoryMib: 96, diskMib: 200 }))
    const stop = new MemoryWatch(10).watch(process, 96 * MIB)
    expect(await process.exited).toEqual({ kind: 'outOfMemory' })
    stop()
  })

  test('is ended whole by the kernel (v2), or by the memory watch where the kernel ended a part of it', async () => {
    const grow = 'const kept = []; for (;;) kept.push(Buffer.alloc(8 * 1024 * 1024, 1))'
    const { process, groups } = await startMarked(
      `echo up >&3; read line <&3; ${NODE} -e '${grow}'; echo lives on >&3; while :; do sleep 1; done`,
      { memoryMib: 96 },
    )
    await firstLine(process)
    const endsWhole = figureOf(groups, 'memory.oom.group') === 1
    process.channel.write('on\n')
    if (!endsWhole) await eventually(() => process.channel.bytesRead === 'up\nlives on\n'.length)
    const watch = new MemoryWatch(10)
    if (!endsWhole) watch.watch(process, 1e12, { wantsSample: () => true, onSample: () => undefined })
    expect(await process.exited).toEqual({ kind: 'outOfMemory' })
    expect(process.channel.bytesRead).toBe((endsWhole ? 'up\n' : 'up\nlives on\n').length)
    watch.close()
  })

  test('tells its memory now and its peak, which can be begun anew', async () => {
    const script = `
      const fs = require('node:fs')
      let held = Buffer.alloc(60 * ${MIB}, 1)
      fs.writeSync(3, 'up\\n')
      process.stdin.destroy()
      new (require('node:net').Socket)({ fd: 3 }).on('data', () => { held = undefined; gc(); fs.writeSync(3, 'less\\n') })`
    const process = sandbox.start(workbench.spec([NODE, '--expose-gc', '-e', script]))
    await firstLine(process)
    const full = await process.memory()
    expect(full.currentBytes).toBeGreaterThan(60 * MIB)
    const less = once(process.channel, 'data')
    process.channel.write('x')
    await less
    await eventually(() => process.channel.bytesRead === 8)
    // The collector gives memory back in a thread of its own.
    let after = await process.memory()
    while (after.currentBytes > full.currentBytes - 30 * MIB) after = await process.memory()
    expect(after.peakBytes).toBeGreaterThan(60 * MIB)
    expect(await process.resetPeak?.()).toBe(true)
    expect((await process.memory()).peakBytes).toBeLessThan(full.currentBytes - 20 * MIB)
  })

  test('has its limits in the kernel before it runs', async () => {
    const { groups } = await startMarked('read line <&3', { memoryMib: 192 })
    const memory = figureOf(groups, 'memory.limit_in_bytes') ?? figureOf(groups, 'memory.max')
    const share = figureOf(groups, 'cpu.shares') ?? figureOf(groups, 'cpu.weight')
    expect([memory, figureOf(groups, 'pids.max'), share]).toEqual([(192 + 8 + 16) * MIB, 1024, 192])
  })

  test('that nobody waits for has a small part of the processors until somebody does', async () => {
    const { process, groups } = await startMarked('read line <&3', { memoryMib: 192, isAhead: true })
    const weight = (): number | undefined => figureOf(groups, 'cpu.shares') ?? figureOf(groups, 'cpu.weight')
    expect(weight()).toBe(12)
    process.hurry?.()
    await eventually(() => weight() === 192)
  })

  test('that multiplies without end stops at its limit, and others run on', async () => {
    const { process, groups } = await startMarked('bomb() { bomb & bomb & }; bomb; read line <&3')
    await eventually(() => (figureOf(groups, 'pids.events', 'max') ?? 0) > 0)
    expect(figureOf(groups, 'pids.current')).toBeLessThanOrEqual(1024)
    expect((await run(sandbox, workbench.shell('exit 5'))).exit).toEqual({ kind: 'exited', exitCode: 5 })
    process.kill()
    expect(await process.exited).toEqual({ kind: 'signalled', signal: 'SIGKILL' })
  })

  test('leaves no group behind when it ends', async () => {
    const { process, groups } = await startMarked('read line <&3; exit 0')
    process.channel.write('on\n')
    await process.exited
    await eventually(() => groups.every((group) => !groupsNamed(group.split('/').slice(-2).join('/')).length))
  })

  // Freezing needs a writable cgroup v2.
  describe.runIf(freezes)('when it is frozen', () => {
    async function startBusy(): Promise<{ process: SandboxProcess; pid: number; mark: string }> {
      const mark = uniqueSleep()
      const busy = 'setInterval(() => { for (let i = 0; i < 1e5; i++); }, 0);'
      const answer =
        "require('node:fs').writeSync(3, 'up\\n'); new (require('node:net').Socket)({ fd: 3 }).on('data', () => require('node:fs').writeSync(3, 'heard\\n'))"
      const process = sandbox.start(workbench.spec([NODE, '-e', busy + answer, mark]))
      process.stdout.resume()
      process.stderr.resume()
      await firstLine(process)
      const pid = pidsWith(mark).find((one) => readFileSync(`/proc/${one}/comm`, 'latin1') !== 'bwrap\n') ?? 0
      return { process, pid, mark }
    }

    async function freeze({ process, pid }: { process: SandboxProcess; pid: number }): Promise<void> {
      process.freeze?.()
      await eventually(() => figureOf(groupsOf(pid), 'cgroup.events', 'frozen') === 1)
    }

    test('uses no processor, and answers as soon as it is thawed', async () => {
      const busy = await startBusy()
      for (let round = 1; round <= 3; round += 1) {
        await freeze(busy)
        const before = ticksOf(busy.pid)
        // Ten times what it needs to use a tick.
        await delay(100)
        expect(ticksOf(busy.pid)).toBe(before)
        const heard = once(busy.process.channel, 'data')
        busy.process.channel.write('x')
        await busy.process.thaw?.()
        expect(String(await heard)).toBe('heard\n')
      }
    })

    test('is killed like any other, with all it has started', async () => {
      const busy = await startBusy()
      await freeze(busy)
      busy.process.kill()
      expect(await busy.process.exited).toEqual({ kind: 'signalled', signal: 'SIGKILL' })
      expect(pidsWith(busy.mark)).toEqual([])
    })

    test('ends with a sandbox that is closed', async () => {
      const busy = await startBusy()
      await freeze(busy)
      await sandbox.close()
      expect(pidsWith(busy.mark)).toEqual([])
    })

    test('tells its memory', async () => {
      const busy = await startBusy()
      await freeze(busy)
      expect((await busy.process.memory()).currentBytes).toBeGreaterThan(MIB)
    })

    test('runs on when it was thawed before it was frozen, however often', async () => {
      const busy = await startBusy()
      for (let turn = 0; turn < 20; turn += 1) {
        busy.process.freeze?.()
        if (turn % 3 === 0) await delay(turn % 5)
        void busy.process.thaw?.()
      }
      const heard = once(busy.process.channel, 'data')
      busy.process.channel.write('x')
      expect(String(await heard)).toBe('heard\n')
    })

    test('ends with a server that is killed, and the next one removes its groups', async () => {
      const mark = uniqueSleep()
      const program = fileURLToPath(new URL('doomed-server.ts', import.meta.url))
      const server = spawn(process.execPath, [program, mark], { stdio: ['ignore', 'pipe', 'inherit'] })
      const gone = once(server, 'exit')
      const [line] = await once(createInterface(server.stdout), 'line')
      const [dir = '', name = ''] = String(line).split(' ')
      server.kill('SIGKILL')
      await gone
      await eventually(() => pidsWith(mark).length === 0)
      rmSync(dir, { recursive: true })
      expect(groupsNamed(name)).not.toEqual([])
      const next = await CgroupTree.open()
      await eventually(() => groupsNamed(name).length === 0)
      await next.close()
    })
  })
})

// Only root can become another user.
describe.runIf(isRoot && limits)('a server that is no root', () => {
  const open =
    'import(process.argv[1]).then(async ({ CgroupTree }) => { const tree = await CgroupTree.open(); console.log(tree.finding.detail); await tree.close() })'
  const module = fileURLToPath(new URL('../../../src/sandbox/cgroup/tree.ts', import.meta.url))
  const asNobody = { uid: 65_534, gid: 65_534 }
  const reads = spawnSync('/bin/sh', ['-c', '[ -r "$0" ] && [ -x "$1" ]', module, process.execPath], asNobody)

  // The other user must be able to read the checkout.
  test.runIf(reads.status === 0)('says what is missing and what to do', async () => {
    const child = spawn(process.execPath, ['-e', open, module], {
      ...asNobody,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const said = await text(child.stdout)
    expect(said).toMatch(/^Memory is watched and can be passed for a moment, processes .* and processors/)
    expect(said).toMatch(
      /because the user of the server may not write its cgroups\. Start the server as root, or/,
    )
    expect(said).toContain('Idle instances are not frozen')
  })
})
