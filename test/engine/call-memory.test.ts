import { describe, expect, test } from 'vitest'
import { CallMemory } from '../../src/engine/call-memory.ts'
import type { MemoryUsage, SandboxProcess } from '../../src/sandbox/sandbox.ts'

const MIB = 1024 * 1024

/** An instance whose process tree has the memory that the test says. */
function anInstance({ limitsMemory = true, resets = true } = {}) {
  const usage = { currentBytes: 10 * MIB, peakBytes: 10 * MIB }
  const running: { runningSinceMs: number; sampledBytes: number }[] = []
  let nowMs = 1000
  let reads = 0
  const memory = async (): Promise<MemoryUsage> => {
    reads += 1
    return { ...usage }
  }
  const resetPeak = async (): Promise<boolean> => {
    if (resets) usage.peakBytes = usage.currentBytes
    return resets
  }
  const calls = { running, runningForMs: (now: number) => now - (running[0]?.runningSinceMs ?? now) }
  const process: Pick<SandboxProcess, 'limitsMemory' | 'memory' | 'resetPeak'> = {
    limitsMemory,
    memory,
    resetPeak,
  }
  const record = new CallMemory(process, calls, 256 * MIB, () => nowMs)
  return {
    record,
    /** The tree grows to this and shrinks again. */
    peak: (mib: number) => (usage.peakBytes = Math.max(usage.peakBytes, mib * MIB)),
    begin: () => running.push({ runningSinceMs: nowMs, sampledBytes: 0 }),
    pass: (ms: number) => (nowMs += ms),
    sample: () => record.onSample({ ...usage }),
    answer: async (isSuspect = false): Promise<number | undefined> => {
      const call = running.shift()
      const sample = call === undefined ? undefined : await record.lastSampleOf(call, isSuspect, nowMs)
      return sample === undefined ? undefined : sample.mostBytes / MIB
    },
    get reads() {
      return reads
    },
  }
}

describe('what a call is told of the memory of its instance', () => {
  test('is read for calls that take long, and for no others', async () => {
    const one = anInstance()
    one.begin()
    one.pass(199)
    expect(one.record.wantsSample()).toBe(false)
    expect(await one.answer()).toBeUndefined()
    expect(one.reads).toBe(0)
    one.begin()
    one.pass(200)
    expect(one.record.wantsSample()).toBe(true)
    expect(await one.answer()).toBe(10)
    expect(one.record.wantsSample()).toBe(false)
  })

  test('is the peak of its own time when a new one was begun before it', async () => {
    const one = anInstance()
    one.peak(90)
    one.record.beginAnew()
    one.begin()
    one.peak(40)
    one.pass(300)
    expect(await one.answer()).toBe(40)
  })

  test('is not the peak of a call before it', async () => {
    const one = anInstance()
    one.record.beginAnew()
    one.begin()
    one.peak(90)
    await one.answer()
    one.begin()
    one.pass(300)
    expect(await one.answer()).toBe(10)
  })

  test('is the highest of all samples, each of which begins a new peak', async () => {
    const one = anInstance()
    one.record.beginAnew()
    one.begin()
    one.pass(250)
    one.peak(70)
    one.sample()
    one.pass(200)
    one.peak(30)
    expect(await one.answer()).toBe(70)
  })

  test('is what samples saw where the kernel cannot begin a new peak', async () => {
    const one = anInstance({ resets: false })
    one.peak(90)
    one.record.beginAnew()
    await Promise.resolve()
    one.begin()
    one.pass(300)
    expect(await one.answer()).toBe(10)
  })

  test('is left to the bootstrap where the kernel does not count the tree', async () => {
    const one = anInstance({ limitsMemory: false })
    one.begin()
    one.pass(300)
    expect(one.record.wantsSample()).toBe(false)
    expect(await one.answer()).toBeUndefined()
    expect(one.reads).toBe(0)
  })

  test('is read for a quick call that is suspected, even where the kernel does not count the tree', async () => {
    const one = anInstance({ limitsMemory: false })
    one.begin()
    expect(await one.answer(true)).toBe(10)
    expect(one.reads).toBe(1)
  })

  test('is suspected to be too much once for each new peak above what the function may use', () => {
    const { record } = anInstance()
    expect([256, 257, 257, 200, 300, 299].map((mib) => record.isNewExcess(mib * MIB))).toEqual([
      false,
      true,
      false,
      false,
      true,
      false,
    ])
  })
})
