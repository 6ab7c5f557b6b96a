import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
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

/** What an ordinary user is told about one thing, with launchers from these directories. */
function toldNobody(
  name: string,
  programDirs?: readonly string[],
): { ok: boolean; detail: string; fix?: string } {
  const program = `
    import { examineHost } from ${JSON.stringify(MODULE)}
    const options = ${JSON.stringify(programDirs === undefined ? {} : { programDirs })}
    console.log(JSON.stringify((await examineHost({}, options)).find(({ name }) => name === '${name}')))`
  const [setpriv, ...args] = [...AS_NOBODY, process.execPath, '--input-type=module-typescript', '--eval']
  const options = { encoding: 'utf8', cwd: '/', env: { PATH: process.env['PATH'] } } as const
  const { stdout, stderr } = spawnSync(setpriv, [...args, program], options)
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}

// Root may write them: this takes another user, who can read the checkout.
test.runIf(canTry)('a user who may not write cgroups is told what is lost, and beside it what to do', () => {
  const { ok, detail, fix } = toldNobody('cgroup limits')
  expect(ok).toBe(false)
  expect(detail).toMatch(/^Memory is watched .* because /)
  expect(fix).toMatch(/^Start the server as root|^Mount|^Show the container/)
  expect(detail).not.toContain(fix)
})

// Needs that user, too.
test.runIf(canTry)(
  'an ordinary user is told that functions share the counts of its id, and what to do',
  () => {
    const { ok, detail, fix } = toldNobody('user ids of functions')
    expect(ok).toBe(false)
    expect(detail).toMatch(/^What the kernel counts by user id .*epoll watches.* may end then\.$/)
    expect(fix).toMatch(/^Start the server as root, .* or under a supervisor/)
    expect(toldNobody('sandbox bwrap').detail).not.toContain('epoll')
  },
)

// Only root has others to give.
test.runIf(canTry)('a server under root is told that functions have ids of their own', () => {
  const told = isolating?.guards?.find(({ name }) => name === 'user ids of functions')
  expect(told).toMatchObject({ works: true })
  expect(isolating?.detail).not.toContain('epoll')
})

// Needs that user, too.
test.runIf(canTry)('a sandbox without prlimit says which limits there are not', () => {
  const programDir = mkdtempSync(join(tmpdir(), 'anvoke-programs-'))
  chmodSync(programDir, 0o755)
  symlinkSync('/usr/bin/bwrap', join(programDir, 'bwrap'))
  const without = toldNobody('sandbox bwrap', [programDir])
  rmSync(programDir, { recursive: true })
  expect(without).toMatchObject({ ok: true, detail: expect.stringContaining('open files have no limit') })
  expect(toldNobody('sandbox bwrap').detail).not.toContain('prlimit')
})
