import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { hierarchiesOf } from '../../../src/sandbox/cgroup/hierarchies.ts'

const SERVER = fileURLToPath(new URL('subgroup-server.ts', import.meta.url))

/** Whether a unit with a subgroup can be made here: by root, in the root of a v2 tree that controls something. */
function canMakeUnits(): boolean {
  if (process.getuid?.() !== 0) return false
  const unified = hierarchiesOf(
    readFileSync('/proc/self/cgroup', 'latin1'),
    readFileSync('/proc/self/mountinfo', 'latin1'),
  ).find(({ version }) => version === 2)
  if (unified === undefined || unified.ownDir !== unified.mountPoint) return false
  try {
    return readFileSync(join(unified.ownDir, 'cgroup.controllers'), 'latin1').trim() !== ''
  } catch {
    return false
  }
}

// Needs root, and cgroups whose root is the tests' own group.
test.runIf(canMakeUnits())('in the subgroup of a unit, the unit hands on what limits functions', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [SERVER])
  expect(JSON.parse(stdout)).toEqual({ isBelowUnit: true, hasAll: true })
})
