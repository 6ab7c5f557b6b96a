import { describe, expect, test } from 'vitest'
import { sentencesOf } from '../../../src/sandbox/cgroup/finding.ts'
import { CONTROLLERS, cpuWeightOf, settingsAbove, settingsFor } from '../../../src/sandbox/cgroup/limits.ts'

const LIMITS = { memoryBytes: 1000, tasks: 7, cpuWeight: 128 }
const all = new Set(CONTROLLERS)
const textOf = (settings: ReturnType<typeof settingsFor>): string[] =>
  settings.map(({ file, value, isNeeded }) => `${file}=${value}${isNeeded ? '' : ' if it is there'}`)

describe('the limits of a group', () => {
  test('are files of v1, memory before memory with swap', () => {
    expect(textOf(settingsFor(1, all, LIMITS))).toEqual([
      'memory.limit_in_bytes=1000',
      'memory.memsw.limit_in_bytes=1000 if it is there',
      'pids.max=7',
      'cpu.shares=128',
    ])
  })

  test('are files of v2, without swap, and all processes end together', () => {
    expect(textOf(settingsFor(2, all, LIMITS))).toEqual([
      'memory.max=1000',
      'memory.swap.max=0 if it is there',
      'memory.oom.group=1 if it is there',
      'pids.max=7',
      'cpu.weight=128',
    ])
  })

  test('are those of its controllers alone', () => {
    expect(textOf(settingsFor(1, new Set(['pids']), LIMITS))).toEqual(['pids.max=7'])
    expect(settingsFor(2, new Set(), LIMITS)).toEqual([])
  })

  test('give processor time in proportion to memory, within the range of the kernel', () => {
    expect([64, 128, 3072, 32_768].map(cpuWeightOf)).toEqual([64, 128, 3072, 10_000])
    expect(cpuWeightOf(0)).toBe(1)
    expect(textOf(settingsFor(1, new Set(['cpu']), { ...LIMITS, cpuWeight: 1 }))).toEqual(['cpu.shares=2'])
  })

  test('give what is ahead a sixteenth of its processor time, and no less than the kernel allows', () => {
    const ahead = { ...LIMITS, isAhead: true }
    expect(textOf(settingsFor(1, new Set(['cpu']), ahead))).toEqual(['cpu.shares=8'])
    expect(textOf(settingsFor(2, new Set(['cpu']), ahead))).toEqual(['cpu.weight=8'])
    const small = { ...ahead, cpuWeight: 2 }
    expect(textOf(settingsFor(1, new Set(['cpu']), small))).toEqual(['cpu.shares=2'])
    expect(textOf(settingsFor(2, new Set(['cpu']), small))).toEqual(['cpu.weight=1'])
  })

  test('weigh all instances together like one process of the server on each processor', () => {
    const supply = { processors: 4, tasks: 1001 }
    expect(textOf(settingsAbove(1, new Set(['cpu']), supply))).toEqual(['cpu.shares=4096 if it is there'])
    expect(textOf(settingsAbove(2, new Set(['cpu']), supply))).toEqual(['cpu.weight=400 if it is there'])
  })

  test('leave half of the processes to the server and the rest of the host', () => {
    const supply = { processors: 4, tasks: 1001 }
    for (const version of [1, 2] as const)
      expect(textOf(settingsAbove(version, new Set(['pids']), supply))).toEqual([
        'pids.max=500 if it is there',
      ])
  })
})

describe('what the operator is told', () => {
  test('names what is exact', () => {
    const abilities = { controllers: all, countsSwap: true, freezes: true, versions: [1, 2] as const }
    expect(sentencesOf(abilities, [])).toBe(
      'The kernel limits for each instance, exactly: the sum of memory, swap and files in /tmp; the number of processes (cgroup v1 and v2). ' +
        'Instances share processors by their memory. Idle instances are frozen.',
    )
    expect(sentencesOf({ ...abilities, countsSwap: false }, [])).toContain(
      'the sum of memory and files in /tmp, without swap;',
    )
  })

  test('names what is missing, why and what to do, once for each cause', () => {
    const cause = { reason: 'the moon is full', remedy: 'Wait.' }
    const text = sentencesOf({ controllers: new Set(), countsSwap: true, freezes: false, versions: [] }, [
      { controllers: ['pids'], ...cause },
      { controllers: ['memory'], ...cause },
    ])
    expect(text).toBe(
      'Memory is watched and can be passed for a moment and processes are counted for each user id alone, because the moon is full. ' +
        'Wait. Idle instances are not frozen and may use processors between calls: that needs a writable cgroup v2 and Linux 5.2.',
    )
  })
})
