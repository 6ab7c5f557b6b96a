// A server for tests, in the subgroup of a systemd unit: prints which controllers it could hand on, and below which group.
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { openV2 } from '../../../src/sandbox/cgroup/branches.ts'
import { hierarchiesOf } from '../../../src/sandbox/cgroup/hierarchies.ts'
import type { Controller } from '../../../src/sandbox/cgroup/limits.ts'

const unified = () =>
  hierarchiesOf(
    readFileSync('/proc/self/cgroup', 'latin1'),
    readFileSync('/proc/self/mountinfo', 'latin1'),
  ).find(({ version }) => version === 2)!
const before = unified()
const unit = join(before.ownDir, `subgroup-${process.pid}.service`)
// Whichever this host has in its v2 tree: what is handed on does not depend on which it is.
const [controller = ''] = readFileSync(join(before.ownDir, 'cgroup.controllers'), 'latin1').trim().split(' ')
mkdirSync(join(unit, 'main'), { recursive: true })
try {
  writeFileSync(join(before.ownDir, 'cgroup.subtree_control'), `+${controller}`)
  writeFileSync(join(unit, 'main', 'cgroup.procs'), String(process.pid))
  const { branch, obstacle } = await openV2(unified(), 'anvoke-test', 'abcdef', [controller as Controller])
  const isBelowUnit = branch !== undefined && dirname(branch.dir) === unit
  process.stdout.write(JSON.stringify({ isBelowUnit, hasAll: branch?.controllers.size === 1, obstacle }))
  await branch?.close()
} finally {
  writeFileSync(join(before.ownDir, 'cgroup.procs'), String(process.pid))
  rmdirSync(join(unit, 'main'))
  rmdirSync(unit)
}
