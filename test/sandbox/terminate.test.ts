import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CgroupTree } from '../../src/sandbox/cgroup/tree.ts'
import { chooseSandbox, probeSandboxes } from '../../src/sandbox/probe.ts'
import type { Sandbox } from '../../src/sandbox/sandbox.ts'
import {
  eventually,
  firstLine,
  hasPython,
  pidsWith,
  start,
  uniqueSleep,
  Workbench,
  type Way,
} from './harness.ts'

const working = (await probeSandboxes()).filter(({ works }) => works).map(({ driver }) => driver)
/** Each driver, and each way that it brings processes into the sandbox. */
const ways = working.flatMap((driver): (readonly [typeof driver, Way])[] => [
  [driver, 'started'],
  ...(driver === 'bwrap' && hasPython ? ([[driver, 'forked']] as const) : []),
])
const tree = await CgroupTree.open()
await tree.close()

describe.each(ways)('a process of the %s sandbox, %s, that is told to end', (driver, way) => {
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

  test('ends as its code says', async () => {
    const mark = uniqueSleep()
    const process = await start(
      sandbox,
      workbench.shell(`trap 'exit 4' TERM; sleep ${mark} & echo ready >&3; wait; exit 5`),
    )
    await firstLine(process)
    await process.terminate?.()
    expect(await process.exited).toEqual({ kind: 'exited', exitCode: 4 })
    expect(pidsWith(mark)).toEqual([])
  })

  test('ends by the signal when its code says nothing', async () => {
    const process = await start(sandbox, workbench.shell(`echo ready >&3; exec sleep ${uniqueSleep()}`))
    await firstLine(process)
    await process.terminate?.()
    expect(await process.exited).toEqual({ kind: 'signalled', signal: 'SIGTERM' })
  })

  test('goes on when its code wants to, until it is killed; its children are not told', async () => {
    const mark = uniqueSleep()
    const process = await start(
      sandbox,
      workbench.shell(
        `trap 'echo told >&3; kill -0 $! && echo lives >&3' TERM; sleep ${mark} & echo ready >&3; while :; do wait; done`,
      ),
    )
    let said = ''
    process.channel.on('data', (chunk: Buffer) => (said += chunk.toString()))
    await eventually(() => said === 'ready\n' && pidsWith(mark).length > 0)
    await process.terminate?.()
    await eventually(() => said.startsWith('ready\ntold\nlives\n'))
    expect(pidsWith(mark)).toHaveLength(1)
    process.kill()
    expect(await process.exited).toEqual({ kind: 'signalled', signal: 'SIGKILL' })
    expect(pidsWith(mark)).toEqual([])
  })

  test('is no error when it has ended', async () => {
    const process = await start(sandbox, workbench.shell('exit 3'))
    await process.exited
    await process.terminate?.()
    expect(await process.exited).toEqual({ kind: 'exited', exitCode: 3 })
  })

  // Only groups of bwrap can be frozen, where cgroup v2 can be written.
  test.runIf(driver === 'bwrap' && tree.finding.freezes)('is thawed for it', async () => {
    const process = await start(
      sandbox,
      workbench.shell(`trap 'exit 4' TERM; echo ready >&3; sleep ${uniqueSleep()} & wait`),
    )
    await firstLine(process)
    process.freeze?.()
    await eventually(() => process.isFrozen === true)
    await process.terminate?.()
    expect(await process.exited).toEqual({ kind: 'exited', exitCode: 4 })
  })
})
