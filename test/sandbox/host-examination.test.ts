import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { probeSandboxes } from '../../src/sandbox/probe.ts'

const MODULE = join(import.meta.dirname, '../../src/sandbox/host-examination.ts')
const AS_NOBODY = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--'] as const
const [isolating] = await probeSandboxes()
/** A checkout may be closed to others, and only root can become somebody else. */
const canTry =
  isolating?.works === true &&
  process.getuid?.() === 0 &&
  spawnSync('setpriv', [...AS_NOBODY.slice(1), 'test', '-r', MODULE, '-a', '-x', process.execPath]).status ===
    0

test.runIf(canTry)('a user who may not write cgroups is told what is lost, and beside it what to do', () => {
  const program = `
    import { examineHost } from ${JSON.stringify(MODULE)}
    console.log(JSON.stringify((await examineHost()).find(({ name }) => name === 'cgroup limits')))`
  const [setpriv, ...args] = [...AS_NOBODY, process.execPath, '--input-type=module-typescript', '--eval']
  const options = { encoding: 'utf8', cwd: '/', env: { PATH: process.env['PATH'] } } as const
  const { stdout, stderr } = spawnSync(setpriv, [...args, program], options)
  expect(stderr).toBe('')
  const { ok, detail, fix } = JSON.parse(stdout)
  expect(ok).toBe(false)
  expect(detail).toMatch(/^Memory is watched .* because /)
  expect(fix).toMatch(/^Start the server as root|^Mount|^Show the container/)
  expect(detail).not.toContain(fix)
})
