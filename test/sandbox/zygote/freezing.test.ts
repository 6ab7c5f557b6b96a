import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { beforeEach, describe, expect, test } from 'vitest'
import { CgroupTree } from '../../../src/sandbox/cgroup/tree.ts'
import { chooseSandbox, probeSandboxes } from '../../../src/sandbox/probe.ts'
import type { Sandbox } from '../../../src/sandbox/sandbox.ts'
import { figureOf, groupsOf } from '../cgroup/groups-of.ts'
import { eventually, hasPython, pidsWith, start, ticksOf, uniqueSleep, Workbench } from '../harness.ts'
import { Servant, SERVANT } from './servant.ts'

const works = (await probeSandboxes()).some((finding) => finding.driver === 'bwrap' && finding.works)
const tree = await CgroupTree.open()
await tree.close()
const { freezes, detail } = tree.finding
const missing =
  works && hasPython ? (freezes ? '' : `nothing can be frozen: ${detail}`) : 'needs bwrap and Python'

/** A thread, and a process with a session of its own, each of which wants a processor for ever. */
const SPIN = [
  'import threading',
  'def spin():',
  '    while True: sum(range(1000))',
  'if os.fork() == 0:',
  '    os.setsid()',
  '    spin()',
  'threading.Thread(target=spin, daemon=True).start()',
].join(';;')

/** A process whose first thread has ended (`exit`, not `exit_group`), and another thread that wants a processor for ever. */
const HEADLESS = [
  'import ctypes, threading',
  'call = ctypes.CDLL(None).syscall',
  'number = 60 if os.uname().machine == "x86_64" else 93',
  'def spin():',
  '    while True: sum(range(1000))',
  'if os.fork() == 0:',
  '    os.setsid()',
  '    threading.Thread(target=spin).start()',
  '    call(number, 0)',
].join(';;')

/** Processes in the groups of this one. */
function members(pid: number): number[] {
  const lists = groupsOf(pid).map((dir) =>
    readFileSync(join(dir, 'cgroup.procs'), 'latin1').split('\n').map(Number),
  )
  return [...new Set(lists.flat())].filter((one) => one > 0)
}

function isHeadless(pid: number): boolean {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  return /^State:\s+Z/m.test(status) && readdirSync(`/proc/${pid}/task`).length > 1
}

describe('a forked process that is frozen', () => {
  let workbench: Workbench
  let sandbox: Sandbox
  let mark: string

  beforeEach(async (context) => {
    context.skip(missing !== '', missing)
    workbench = new Workbench('forked')
    mark = uniqueSleep()
    const { zygotes } = workbench
    sandbox = (await chooseSandbox('bwrap', { zygotes })).sandbox
    return async () => {
      await sandbox.close()
      expect(pidsWith(mark)).toEqual([])
      workbench.close()
    }
  })

  async function serve(): Promise<Servant> {
    return new Servant(await start(sandbox, workbench.spec(['-c', SERVANT, mark])))
  }

  /** Its process and those that it has forked, as the host numbers them. */
  async function pidsOf(servant: Servant): Promise<number[]> {
    const namespace = await servant.ask('told = os.readlink("/proc/self/ns/pid")')
    return pidsWith(mark).filter((pid) => readlinkSync(`/proc/${pid}/ns/pid`) === namespace)
  }

  async function freeze({ process }: Servant, pids: readonly number[]): Promise<void> {
    process.freeze?.()
    await eventually(() => pids.every((pid) => figureOf(groupsOf(pid), 'cgroup.events', 'frozen') === 1))
    expect(process.isFrozen).toBe(true)
  }

  test('uses no processor with all that it has started, and answers as soon as it is thawed', async () => {
    const busy = await serve()
    await busy.ask(SPIN)
    const pids = await pidsOf(busy)
    expect(pids).toHaveLength(2)
    for (let round = 1; round <= 3; round += 1) {
      const so = pids.map(ticksOf)
      await eventually(() => pids.every((pid, index) => ticksOf(pid) > (so[index] ?? 0)))
      await freeze(busy, pids)
      const before = pids.map(ticksOf)
      // Ten times what it needs to use a tick.
      await delay(100)
      expect(pids.map(ticksOf)).toEqual(before)
      const answer = busy.ask(`told = ${round}`)
      await busy.process.thaw?.()
      expect(await answer).toBe(`${round}`)
    }
  })

  test('stands still with a process whose first thread has ended and whose others go on', async () => {
    const servant = await serve()
    const [pid = 0] = await pidsOf(servant)
    const before = members(pid)
    await servant.ask(HEADLESS)
    let busy = 0
    await eventually(
      () => (busy = members(pid).find((one) => !before.includes(one) && isHeadless(one)) ?? 0) > 0,
    )
    for (let round = 1; round <= 3; round += 1) {
      const so = ticksOf(busy)
      await eventually(() => ticksOf(busy) > so)
      await freeze(servant, [pid])
      // The last of its threads may stop a moment later than the others.
      const still = ticksOf(busy)
      await delay(100)
      expect(ticksOf(busy)).toBe(still)
      await servant.process.thaw?.()
      expect(await servant.ask(`told = ${round}`)).toBe(`${round}`)
    }
  })

  test('does not freeze its zygote, nor its neighbours: one answers, another is forked', async () => {
    const [neighbour, frozen] = [await serve(), await serve()]
    await freeze(frozen, await pidsOf(frozen))
    expect(await neighbour.ask('told = 1')).toBe('1')
    const next = await serve()
    expect(await next.ask('told = 2')).toBe('2')
  })

  test('is killed like any other, with all it has started', async () => {
    const busy = await serve()
    await busy.ask(SPIN)
    const pids = await pidsOf(busy)
    await freeze(busy, pids)
    busy.process.kill()
    expect(await busy.process.exited).toEqual({ kind: 'signalled', signal: 'SIGKILL' })
    expect(pidsWith(mark).filter((pid) => pids.includes(pid))).toEqual([])
  })
})
