import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openV1, openV2, type Branch } from '../../../src/sandbox/cgroup/branches.ts'
import { CgroupGroup } from '../../../src/sandbox/cgroup/group.ts'
import type { Controller } from '../../../src/sandbox/cgroup/limits.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'anvoke-cgroup-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

/** Writes files as the kernel would show them. */
function show(place: string, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(place, name), text)
}

async function groupIn(version: 1 | 2, controllers: readonly Controller[]): Promise<CgroupGroup> {
  const branch: Branch = { version, controllers: new Set(controllers), dir, close: async () => undefined }
  const group = new CgroupGroup([branch], 'i1', true)
  await group.ready
  return group
}

describe('the figures of a group', () => {
  test('of v1 leave out what the kernel caches of files, now and at the peak', async () => {
    const group = await groupIn(1, ['memory'])
    show(join(dir, 'i1'), {
      'memory.usage_in_bytes': '1000\n',
      'memory.max_usage_in_bytes': '5000\n',
      'memory.stat': 'inactive_file 1\nactive_file 1\ntotal_inactive_file 100\ntotal_active_file 200\n',
      'memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 3\n',
    })
    expect(await group.usage()).toEqual({ currentBytes: 700, peakBytes: 4700 })
    expect(await group.oomKills()).toBe(3)
    expect(await group.resetPeak()).toBe(true)
    expect(readFileSync(join(dir, 'i1', 'memory.max_usage_in_bytes'), 'utf8')).toMatch(/^0/)
  })

  test('of v2 are the same from other files, also where the kernel keeps no peak', async () => {
    const group = await groupIn(2, ['memory'])
    const place = join(dir, 'i1')
    show(place, {
      'memory.current': '1000\n',
      'memory.stat': 'anon 5\ninactive_file 100\nactive_file 200\n',
      'memory.events': 'low 0\noom 2\noom_kill 1\noom_group_kill 1\n',
    })
    expect(await group.usage()).toEqual({ currentBytes: 700, peakBytes: 700 })
    show(place, { 'memory.current': '600\n' })
    expect(await group.usage()).toEqual({ currentBytes: 300, peakBytes: 700 })
    expect(await group.resetPeak()).toBe(false)
    show(place, { 'memory.peak': '9000\n' })
    expect(await group.usage()).toEqual({ currentBytes: 300, peakBytes: 8700 })
    expect(await group.oomKills()).toBe(1)
  })

  test.each([
    [1, 'memory.usage_in_bytes', 'memory.oom_control'],
    [2, 'memory.current', 'memory.events'],
  ] as const)(
    'of v%i are looked at in passing, and anything new is no answer',
    async (version, used, kills) => {
      const group = await groupIn(version, ['memory'])
      const place = join(dir, 'i1')
      const stays = (usedBytes: number, limitBytes: number, oomKills = 0): boolean => {
        show(place, { [used]: `${usedBytes}\n`, [kills]: `under_oom 0\noom_kill ${oomKills}\n` })
        return group.staysWithin(limitBytes)
      }
      const mib = 1024 * 1024
      expect(stays(mib, 9 * mib)).toBe(false)
      await group.usage()
      expect(stays(2 * mib, 2 * mib)).toBe(true)
      expect(stays(2 * mib, 2 * mib - 1)).toBe(false)
      expect(stays(2 * mib + 1, 9 * mib)).toBe(false)
      await group.usage()
      expect(stays(2 * mib + 1, 9 * mib)).toBe(true)
      expect(stays(mib, 9 * mib, 1)).toBe(false)
      rmSync(join(place, kills))
      expect(group.staysWithin(9 * mib)).toBe(false)
    },
  )

  test('are unknown where memory is not counted, and once the group is gone', async () => {
    const group = await groupIn(1, ['pids'])
    expect([await group.usage(), await group.oomKills(), await group.resetPeak()]).toEqual([
      undefined,
      0,
      false,
    ])
    expect([group.limitsMemory, group.staysWithin(1e12)]).toEqual([false, false])
    expect(await group.remove()).toBe(true)
  })
})

describe('a group', () => {
  test.each([
    [1, 'cpu.shares'],
    [2, 'cpu.weight'],
  ] as const)('of v%i that is ahead gets its whole weight once it is hurried', async (version, file) => {
    const group = await groupIn(version, ['cpu'])
    const path = join(dir, 'i1', file)
    show(join(dir, 'i1'), { [file]: '' })
    group.limit({ memoryBytes: 1, tasks: 1, cpuWeight: 512, isAhead: true })
    await group.ready
    expect(readFileSync(path, 'utf8')).toBe('32')
    group.hurry()
    group.hurry()
    await expect.poll(() => readFileSync(path, 'utf8')).toBe('512')
  })

  test('that shares no processors can be hurried all the same', async () => {
    const group = await groupIn(2, ['pids'])
    show(join(dir, 'i1'), { 'pids.max': '' })
    group.limit({ memoryBytes: 1, tasks: 1, cpuWeight: 512, isAhead: true })
    group.hurry()
    await group.ready
    expect(existsSync(join(dir, 'i1', 'cpu.weight'))).toBe(false)
  })

  test('that cannot be given a limit is not ready, with the reason', async () => {
    const group = await groupIn(1, ['pids'])
    group.limit({ memoryBytes: 1, tasks: 1, cpuWeight: 1 })
    await expect(group.ready).rejects.toThrow(/ENOENT.*pids\.max/)
  })

  test('is entered by files that move one thread of v1, a whole process of v2', async () => {
    expect((await groupIn(1, ['memory'])).entries).toEqual([join(dir, 'i1', 'tasks')])
    rmSync(join(dir, 'i1'), { recursive: true })
    expect((await groupIn(2, ['memory'])).entries).toEqual([join(dir, 'i1', 'cgroup.procs')])
  })

  test('of v2 that limits nothing is not entered before it is needed', async () => {
    const branches = hybridBranches('memory')
    const group = new CgroupGroup(branches, 'i1', true)
    await group.ready
    expect(group.entries).toEqual([join(dir, 'v1', 'i1', 'tasks')])
    show(join(dir, 'v1', 'i1'), { 'cgroup.procs': '4194299\n4194300\n0\n' })
    show(join(dir, 'v2', 'i1'), { 'cgroup.procs': '4194299\n4194300\n', 'cgroup.freeze': '0' })
    group.freeze()
    // A thaw that comes before the freeze was written leaves nothing to write.
    await group.thaw()
    expect(readFileSync(join(dir, 'v2', 'i1', 'cgroup.freeze'), 'utf8')).toBe('0')
  })

  test('whose processes cannot be moved may start none until they are, and again before it is thawed', async () => {
    const branches = hybridBranches('pids')
    const most = (): string => readFileSync(join(dir, 'v1', 'i1', 'pids.max'), 'utf8')
    const barred = Promise.withResolvers<void>()
    const thawing = Promise.withResolvers<void>()
    const group = new CgroupGroup(branches, 'i1', true, async () => {
      // Of what it moves, nothing gets there.
      if (!most().startsWith('0')) return
      barred.resolve()
      await thawing.promise
    })
    await group.ready
    show(join(dir, 'v1', 'i1'), { 'cgroup.procs': '4194299', 'pids.max': '' })
    show(join(dir, 'v2', 'i1'), { 'cgroup.procs': '', 'cgroup.freeze': '0' })
    group.limit({ memoryBytes: 1, tasks: 7, cpuWeight: 1 })
    await group.ready
    group.freeze()
    await barred.promise
    const thawed = group.thaw()
    thawing.resolve()
    await thawed
    expect(most()).toBe('7')
    expect(group.isFrozen).toBe(false)
  })

  test('whose processes cannot be moved at all says so, once', async () => {
    const branches = hybridBranches('memory')
    const group = new CgroupGroup(branches, 'i1', true, async () => undefined)
    await group.ready
    show(join(dir, 'v1', 'i1'), { 'cgroup.procs': '4194299' })
    show(join(dir, 'v2', 'i1'), { 'cgroup.procs': '', 'cgroup.freeze': '0' })
    const reason = await new Promise((resolve) => group.freeze(resolve))
    expect(String(reason)).toMatch(/multiply faster than they are moved/)
    expect(group.isFrozen).toBe(false)
  })

  test('that is ended while its processes are moved to where they are frozen freezes none of them', async () => {
    const branches = hybridBranches('memory')
    const moving = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<void>()
    const moved = Promise.withResolvers<void>()
    const group = new CgroupGroup(branches, 'i1', true, async (move) => {
      moving.resolve()
      await ended.promise
      await move()
      moved.resolve()
    })
    await group.ready
    show(join(dir, 'v1', 'i1'), { 'cgroup.procs': '4194299' })
    show(join(dir, 'v2', 'i1'), { 'cgroup.procs': '', 'cgroup.freeze': '0', 'cgroup.kill': '' })
    group.freeze()
    await moving.promise
    expect(await group.kill()).toBe(true)
    ended.resolve()
    await moved.promise
    // Removal comes after whatever a freeze has begun; the files of this one stay.
    await group.remove()
    expect(readFileSync(join(dir, 'v2', 'i1', 'cgroup.freeze'), 'utf8')).toBe('0')
  })
})

describe('the place of the server’s groups', () => {
  const hierarchy = (version: 1 | 2, controllers: string[] = []) => ({
    version,
    controllers,
    mountPoint: dir,
    ownDir: dir,
  })

  test('is below its own group', async () => {
    show(dir, { 'cgroup.procs': `${process.pid}\n` })
    const { branch, obstacle } = await openV1(hierarchy(1, ['cpu', 'cpuacct']), 'anvoke-1-2-3', 'abcdef')
    expect(obstacle).toBeUndefined()
    expect([branch?.dir, [...(branch?.controllers ?? [])]]).toEqual([
      join(dir, 'anvoke-1-2-3-abcdef'),
      ['cpu'],
    ])
  })

  test('is none in a hierarchy of v1 that limits nothing of interest', async () => {
    expect(await openV1(hierarchy(1, ['blkio']), 'a', 'b')).toEqual({})
  })

  test('is none where the server’s group is not the one that is seen', async () => {
    show(dir, { 'cgroup.procs': '4194299\n' })
    const { branch, obstacle } = await openV1(hierarchy(1, ['memory']), 'a', 'b')
    expect(branch).toBeUndefined()
    expect(obstacle).toMatchObject({
      controllers: ['memory'],
      remedy: expect.stringContaining('--privileged'),
    })
  })

  test('is in v2 for freezing alone where controllers are not handed down, which is told', async () => {
    show(dir, { 'cgroup.procs': `${process.pid}\n`, 'cgroup.controllers': 'io misc\n' })
    const { branch, obstacle } = await openV2(hierarchy(2), 'anvoke-1-2-3', 'abcdef', ['memory', 'pids'])
    expect([branch?.version, branch?.controllers.size]).toEqual([2, 0])
    expect(obstacle).toEqual({
      controllers: ['memory', 'pids'],
      reason: `memory, pids not handed down to ${dir}`,
      remedy: expect.stringContaining('Delegate=yes'),
    })
  })
})

/** Of a host with both versions: limits in the first, freezing in the second. */
function hybridBranches(controller: 'memory' | 'pids'): readonly Branch[] {
  const close = async (): Promise<void> => undefined
  for (const name of ['v1', 'v2']) mkdirSync(join(dir, name))
  return [
    { version: 1, controllers: new Set([controller]), dir: join(dir, 'v1'), close },
    { version: 2, controllers: new Set(), dir: join(dir, 'v2'), close },
  ]
}
