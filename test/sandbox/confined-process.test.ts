import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Branch } from '../../src/sandbox/cgroup/branches.ts'
import { CgroupGroup } from '../../src/sandbox/cgroup/group.ts'
import { sendTerm } from '../../src/sandbox/child.ts'
import { TextTail } from '../../src/sandbox/text-tail.ts'
import { ForkedProcess } from '../../src/sandbox/zygote/forked-process.ts'
import { pidsWith, startOf, uniqueSleep } from './harness.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

let dir: string
let mark: string
const running: ForkedProcess[] = []
const warnings: Error[] = []
const hear = (warning: Error): number => warnings.push(warning)
const hostNow = performance.now.bind(performance)
/** How far the clock is ahead of the host's. */
let aheadMs = 0

beforeEach(() => {
  // What one test has told is long ago in the next.
  aheadMs += HOUR_MS
  vi.spyOn(performance, 'now').mockImplementation(() => hostNow() + aheadMs)
  dir = mkdtempSync(join(tmpdir(), 'anvoke-confined-'))
  mark = uniqueSleep()
  process.on('warning', hear)
})
afterEach(async () => {
  vi.restoreAllMocks()
  process.off('warning', hear)
  warnings.length = 0
  for (const one of running) one.kill()
  await Promise.all(running.splice(0).map(({ exited }) => exited))
  expect(pidsWith(mark)).toEqual([])
  rmSync(dir, { recursive: true })
})

/**
 * A process that sleeps, in a group that it cannot be frozen in: nothing can be moved to where that is done.
 *
 * @param untilRefused Resolves when the kernel refuses it.
 */
async function startUnfreezable(untilRefused = async (): Promise<void> => undefined): Promise<Started> {
  const name = `i${running.length + 1}`
  const dirs = ['v1', 'v2'].map((version) => join(dir, version))
  const [v1 = '', v2 = ''] = dirs
  for (const place of dirs) mkdirSync(place, { recursive: true })
  const branches: Branch[] = [
    { version: 1, controllers: new Set(['memory']), dir: v1, close: async () => undefined },
    { version: 2, controllers: new Set(), dir: v2, close: async () => undefined },
  ]
  const group = new CgroupGroup(branches, name, true, async () => {
    await untilRefused()
    throw new Error('it cannot be moved')
  })
  await group.ready
  writeFileSync(join(v1, name, 'cgroup.procs'), '4194299')
  writeFileSync(join(v2, name, 'cgroup.procs'), '')
  const child = spawn('sleep', [mark], { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] })
  const { pid = 0, stdout, stderr } = child
  const channel = child.stdio[3]
  if (!(channel instanceof Socket) || stdout === null || stderr === null)
    throw new Error('the process has no channel')
  const born = { first: pid, firstStart: startOf(pid), function: pid, functionStart: startOf(pid) }
  const fork = {
    channel,
    stdout,
    stderr: stderr.pipe(new TextTail()),
    tickets: { readFd: -1, writeFd: -1 },
    born: Promise.resolve(born),
    hasten: () => undefined,
    ended: once(child, 'exit').then(([code, signal]) =>
      signal === null ? Number(code) : -constants.signals[signal as NodeJS.Signals],
    ),
  }
  const process = new ForkedProcess(fork, group, undefined)
  running.push(process)
  await fork.born
  return { process, group, pid }
}

interface Started {
  readonly process: ForkedProcess
  readonly group: CgroupGroup
  readonly pid: number
}

/** Resolves when all warnings are there that were given so far. */
const told = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('an idle instance that cannot be frozen is ended, and the operator is told why, once a minute at most', async () => {
  for (const [passedMs, times] of [
    [0, 1],
    [MINUTE_MS / 2, 1],
    [MINUTE_MS / 2, 2],
  ] as const) {
    aheadMs += passedMs
    const { process } = await startUnfreezable()
    process.freeze()
    expect(await process.exited).toEqual({ kind: 'signalled', signal: 'SIGKILL' })
    expect(process.isFrozen).toBe(false)
    await told()
    expect(warnings).toHaveLength(times)
  }
  expect(warnings[0]?.message).toMatch(
    /^An idle instance that could not be frozen was ended: it cannot be moved\.$/,
  )
})

test('an instance that is wanted again before it could not be frozen runs on, and nobody is told', async () => {
  const moving = Promise.withResolvers<void>()
  const wanted = Promise.withResolvers<void>()
  const { process, group } = await startUnfreezable(async () => {
    moving.resolve()
    await wanted.promise
  })
  process.freeze()
  await moving.promise
  await process.thaw()
  wanted.resolve()
  // Comes after whatever the freeze has begun.
  await group.remove()
  await told()
  expect(warnings).toEqual([])
  expect(pidsWith(mark)).toHaveLength(1)
})

test('nobody is told of an instance that has ended by itself before it could not be frozen', async () => {
  const { process, group, pid } = await startUnfreezable()
  sendTerm(pid)
  expect(await process.exited).toEqual({ kind: 'signalled', signal: 'SIGTERM' })
  process.freeze()
  // As above.
  await group.remove()
  await told()
  expect(warnings).toEqual([])
})
