import { spawnSync } from 'node:child_process'
import { chmodSync, closeSync, constants, mkdirSync, mkdtempSync, openSync } from 'node:fs'
import { readdirSync, readFileSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemArguments } from '../../../src/sandbox/bwrap/arguments.ts'
import { SyntheticEtc } from '../../../src/sandbox/bwrap/etc.ts'
import { CgroupGroup } from '../../../src/sandbox/cgroup/group.ts'
import { InheritedDescriptors } from '../../../src/sandbox/inherited-descriptors.ts'
import { probeSandboxes } from '../../../src/sandbox/probe.ts'
import { ForkedProcess } from '../../../src/sandbox/zygote/forked-process.ts'
import { ZygoteRoom } from '../../../src/sandbox/zygote/room.ts'
import type { Fork } from '../../../src/sandbox/zygote/zygote.ts'
import { eventually, hasPython, pidsWith, startOf, uniqueSleep, Workbench, zygotesWith } from '../harness.ts'
import { Servant, SERVANT } from './servant.ts'

const works = (await probeSandboxes()).some((finding) => finding.driver === 'bwrap' && finding.works)
const isRoot = process.getuid?.() === 0

/** An order so long that what is kept later where it was does not cover all of it: so often its name is in it. */
const LONG = 150

/** Tells which secrets lie in the memory of the process; that it could see one it shows by its own. */
const SEARCH = [
  'import re',
  'own, found = "secre" + "t-of-itself", set()',
  'for area in open("/proc/self/maps"):',
  '    place, modes = area.split()[:2]',
  '    if modes.startswith("r") and "[v" not in area:',
  '        first, end = [int(one, 16) for one in place.split("-")]',
  '        with open("/proc/self/mem", "rb", 0) as memory:',
  '            memory.seek(first)',
  '            found.update(re.findall(rb"secre[t]-of-[a-z]+", memory.read(end - first)))',
  'told = b" ".join(sorted(found)).decode()',
].join(';;')

/** All that a process has written, or may write. */
function memoryOf(pid: number): Buffer {
  const memory = openSync(`/proc/${pid}/mem`, 'r')
  const areas = readFileSync(`/proc/${pid}/maps`, 'latin1').matchAll(/^(\w+)-(\w+) rw/gm)
  const parts = [...areas].map(([, first = '', end = '']) => {
    const part = Buffer.alloc(Number(`0x${end}`) - Number(`0x${first}`))
    return part.subarray(0, readSync(memory, part, 0, part.length, BigInt(`0x${first}`)))
  })
  closeSync(memory)
  return Buffer.concat(parts)
}

// Needs a sandbox, and a Python in it.
describe.runIf(works && hasPython)('the orders of a zygote', () => {
  let workbench: Workbench
  let stateDir: string
  let room: ZygoteRoom
  let mark: string
  const children: ForkedProcess[] = []

  beforeEach(async () => {
    workbench = new Workbench('forked')
    stateDir = mkdtempSync(join(tmpdir(), 'anvoke-orders-'))
    mark = uniqueSleep()
    mkdirSync(join(stateDir, 'groups'))
    room = new ZygoteRoom({
      ...workbench.zygotes,
      bwrap: '/usr/bin/bwrap',
      privileges: isRoot ? 'dropped' : 'ownUserNamespace',
      filter: undefined,
      groupDirs: [join(stateDir, 'groups')],
      stateDir,
      birthTimeoutMs: 1000,
      system: systemArguments(),
      etc: new SyntheticEtc(stateDir),
      inherited: new InheritedDescriptors(),
    })
    await room.prepare(specOf('any'))
  })
  afterEach(async () => {
    for (const child of children) child.kill()
    await Promise.all(children.splice(0).map(({ exited }) => exited))
    await room.close()
    expect(pidsWith(mark)).toEqual([])
    workbench.close()
    rmSync(stateDir, { recursive: true })
  })

  /** @param name Part of the order and of no other, so many times. */
  function specOf(name: string, times = 1): ReturnType<Workbench['spec']> {
    const source = join(workbench.dir, ...Array.from({ length: times }, () => `secret-of-${name}`))
    mkdirSync(source, { recursive: true })
    chmodSync(source, 0o755)
    const spec = workbench.spec(['-c', SERVANT, mark])
    return { ...spec, mounts: [...spec.mounts, { source, target: '/code', holdsCode: true }] }
  }

  function order(spec: ReturnType<typeof specOf>, group?: CgroupGroup): { servant: Servant; fork: Fork } {
    const fork = room.fork(spec, 700_000, group)
    if (fork === undefined) throw new Error('it was not forked')
    const child = new ForkedProcess(fork, undefined, undefined)
    children.push(child)
    return { servant: new Servant(child), fork }
  }

  function zygotePid(): number {
    const [pid] = zygotesWith(mark)
    if (pid === undefined) throw new Error('there is no zygote')
    return pid
  }

  /** A group, with a pipe for the file by which it is entered. */
  async function pipedGroup(): Promise<{ group: CgroupGroup; entry: string }> {
    const branch = { version: 1, controllers: new Set<never>(), dir: join(stateDir, 'groups') } as const
    const group = new CgroupGroup([{ ...branch, close: async () => undefined }], 'piped', false)
    await group.ready
    const [entry = ''] = group.entries
    expect(spawnSync('mkfifo', ['-m', '0666', entry]).status).toBe(0)
    return { group, entry }
  }

  test('do not wait for a child whose group gives it no processor', async () => {
    const { group, entry } = await pipedGroup()
    // Whoever enters this group gets no further: a pipe that is full.
    const pipe = openSync(entry, constants.O_RDWR | constants.O_NONBLOCK)
    const page = Buffer.alloc(65_536)
    for (let left = page.length; left > 0;) left -= writeSync(pipe, page, 0, left)
    const slow = order(specOf('slow'), group)
    expect(await slow.fork.born).toBeDefined()
    expect(await order(specOf('quick')).servant.ask('told = 1')).toBe('1')
    // Once there is room, it goes on.
    readSync(pipe, page, 0, page.length, null)
    expect(await slow.servant.ask('told = 2')).toBe('2')
    closeSync(pipe)
  })

  test('that get nowhere are refused in time: what is there goes on, and what comes is forked by the same zygote', async () => {
    const zygote = zygotePid()
    const neighbour = order(specOf('neighbour')).servant
    expect(await neighbour.ask('told = 1')).toBe('1')
    const running = pidsWith(mark)
    // Nobody reads this pipe: it cannot even be opened.
    const stuck = order(specOf('stuck'), (await pipedGroup()).group).servant
    const next = order(specOf('next')).servant
    expect(await stuck.process.exited).toEqual({
      kind: 'notStarted',
      reason: 'it was not forked within 800 ms',
    })
    expect(await next.ask('told = 2')).toBe('2')
    expect(await neighbour.ask('told = 3')).toBe('3')
    next.process.kill()
    await next.process.exited
    expect(zygotePid()).toBe(zygote)
    await eventually(() => pidsWith(mark).every((pid) => running.includes(pid)))
  })

  test('are answered with the processes of their child, and when these started', async () => {
    const { fork, servant } = order(specOf('any'))
    const pids = await fork.born
    expect(await servant.ask('told = os.getpid()')).toBe('2')
    expect(readFileSync(`/proc/${pids.first}/status`, 'latin1')).toMatch(/^NSpid:.*\t1$/m)
    expect(readFileSync(`/proc/${pids.function}/status`, 'latin1')).toMatch(/^NSpid:.*\t2$/m)
    const starts = [startOf(pids.first), startOf(pids.function)]
    expect([pids.firstStart, pids.functionStart]).toEqual(starts)
  })

  // Only root may look into a process that has privileges, if only over its own namespaces.
  test.runIf(isRoot).each(['cannot come', 'get nowhere'])(
    'that %s leave the zygote no descriptors of their child',
    async (fate) => {
      const zygote = zygotePid()
      const descriptors = (): number => readdirSync(`/proc/${zygote}/fd`).length
      const before = descriptors()
      const dir = join(stateDir, 'groups', 'missing')
      const branch = { version: 1, controllers: new Set<never>(), dir, close: async () => undefined } as const
      const isMissing = fate === 'cannot come'
      const group = isMissing ? new CgroupGroup([branch], 'i1', false) : (await pipedGroup()).group
      const fork = room.fork(specOf('never'), 700_000, group)
      await expect(fork?.born).rejects.toThrow(isMissing ? /ENOENT/ : /not forked/)
      await eventually(() => descriptors() === before - 4)
      await fork?.ended
    },
  )

  // Nor may anybody else read its memory.
  test.runIf(isRoot)('leave nothing in the memory of the zygote', async () => {
    expect(await order(specOf('first', LONG)).servant.ask('told = 1')).toBe('1')
    expect(memoryOf(zygotePid()).includes(mark)).toBe(true)
    expect(memoryOf(zygotePid()).includes('secret-of-')).toBe(false)
  })

  test('are found in the memory of nobody who is forked later', async () => {
    const first = order(specOf('first', LONG)).servant
    expect(await first.ask('told = 1')).toBe('1')
    const told = await order(specOf('second')).servant.ask(SEARCH)
    expect(told).toContain('itself')
    expect(told).not.toContain('first')
  })

  test('are found in the memory of nobody who is forked while they wait', async () => {
    const zygote = zygotePid()
    process.kill(zygote, 'SIGSTOP')
    const first = order(specOf('first')).servant
    const later = ['second', 'third', 'fourth'].map((name) => order(specOf(name, LONG)).servant)
    process.kill(zygote, 'SIGCONT')
    const told = await first.ask(SEARCH)
    expect(told).toContain('itself')
    expect(told.split(' ').filter((name) => !/-(?:first|itself)$/.test(name))).toEqual([])
    expect(await Promise.all(later.map((servant) => servant.ask('told = 2')))).toEqual(['2', '2', '2'])
  })
})
