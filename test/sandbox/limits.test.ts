import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { innerCommand, KERNEL_LIMITS, largestFileBytes } from '../../src/sandbox/bwrap/arguments.ts'
import { hasPython } from './harness.ts'

const PYTHON_DIR = join(import.meta.dirname, '../../src/runtimes/python')
const DISK_MIB = 10
const TASKS = 7

/** What the forked process of a zygote asks of the kernel, instead of asking: name of the limit → soft and hard. */
const FORKED = `
import json, sys
sys.path.insert(0, sys.argv[1])
from _anvoke import isolation
names = {getattr(isolation.resource, name): name[7:].lower() for name in dir(isolation.resource) if name.startswith('RLIMIT_') and name != 'RLIMIT_OFILE'}
asked = {}
isolation.resource.setrlimit = lambda kind, bounds: asked.update({names[kind]: bounds})
isolation.limit_resources(json.loads(sys.argv[2]))
print(json.dumps(asked))`

/**
 * A server may have more of each, which only some hosts let a test give it. 0 is none: a nice value of 19 at best, no realtime, no
 * core dumps.
 */
const EXPECTED = {
  core: 0,
  rtprio: 0,
  nice: 0,
  fsize: largestFileBytes(DISK_MIB),
  nofile: KERNEL_LIMITS.openFiles,
  sigpending: KERNEL_LIMITS.pendingSignals,
  msgqueue: KERNEL_LIMITS.queueBytes,
  memlock: KERNEL_LIMITS.lockedBytes,
}

describe('what a function has no more of than is written down, whatever the server may have', () => {
  test.each(['dropped', 'ownUserNamespace'] as const)('is limited by prlimit (%s)', (privileges) => {
    const launchers = { bwrap: '/bwrap', setpriv: '/setpriv', prlimit: '/prlimit' }
    const command = innerCommand({ command: ['/program'], diskMib: DISK_MIB }, 700_000, privileges, launchers)
    const options = command.slice(command.indexOf('/prlimit') + 1, command.lastIndexOf('--'))
    const limits = Object.fromEntries(
      options.map((option) => /^--(\w+)=(\d+)$/.exec(option) ?? []).map(([, name, value]) => [name, value]),
    )
    expect(limits).toMatchObject(
      Object.fromEntries(Object.entries(EXPECTED).map(([name, value]) => [name, String(value)])),
    )
    expect(command.at(-1)).toBe('/program')
  })

  // The fork limits itself in Python.
  test.runIf(hasPython)('is limited by a fork itself', () => {
    const limits = { ...KERNEL_LIMITS, fileBytes: largestFileBytes(DISK_MIB), tasks: TASKS }
    const args = ['-c', FORKED, PYTHON_DIR, JSON.stringify(limits)]
    const { stdout, stderr } = spawnSync('/usr/bin/python3', ['-I', '-B', ...args], { encoding: 'utf8' })
    expect(stderr).toBe('')
    const both = Object.entries({ ...EXPECTED, nproc: TASKS }).map(([name, value]) => [name, [value, value]])
    expect(JSON.parse(stdout)).toEqual(Object.fromEntries(both))
  })
})
