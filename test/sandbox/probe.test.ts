import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { chooseSandbox, probeSandboxes } from '../../src/sandbox/probe.ts'
import { pidsWith, uniqueSleep } from './harness.ts'

describe('choosing a sandbox', () => {
  let programDir: string
  beforeEach(() => {
    programDir = mkdtempSync(join(tmpdir(), 'anvoke-programs-'))
  })
  afterEach(() => rmSync(programDir, { recursive: true }))

  /** Puts a bwrap in place that fails with this complaint, among the real other launchers. */
  function brokenBwrap(complaint: string): { programDirs: string[] } {
    writeFileSync(join(programDir, 'bwrap'), `#!/bin/sh\necho "bwrap: ${complaint}" >&2\nexit 1\n`, {
      mode: 0o755,
    })
    symlinkSync('/usr/bin/setpriv', join(programDir, 'setpriv'))
    return { programDirs: [programDir] }
  }

  test('tells about every driver', async () => {
    const findings = await probeSandboxes()
    expect(findings.map(({ driver }) => driver)).toEqual(['bwrap', 'process'])
    expect(findings[1]).toEqual({
      driver: 'process',
      works: true,
      detail: 'runs functions without isolation, for code that is trusted.',
    })
  })

  test('takes bwrap by itself, without a warning, exactly where it works', async () => {
    const [bwrap] = await probeSandboxes()
    const chosen = await chooseSandbox('auto')
    await chosen.sandbox.close()
    expect(chosen.sandbox.name).toBe(bwrap?.works === true ? 'bwrap' : 'process')
    expect(chosen.warning === undefined).toBe(bwrap?.works)
  })

  test('falls back to plain processes with a warning that names the reason and the remedy', async () => {
    const chosen = await chooseSandbox('auto', { programDirs: [programDir] })
    await chosen.sandbox.close()
    expect(chosen.sandbox.name).toBe('process')
    expect(chosen.findings.map(({ driver, works }) => [driver, works])).toEqual([
      ['bwrap', false],
      ['process', true],
    ])
    expect(chosen.warning).toMatch(/WITHOUT isolation.*apt-get install bubblewrap/)
  })

  test('does not go without isolation because bwrap does not answer in time', async () => {
    const mark = uniqueSleep()
    writeFileSync(join(programDir, 'bwrap'), `#!/bin/sh\nexec sleep ${mark}\n`, { mode: 0o755 })
    symlinkSync('/usr/bin/setpriv', join(programDir, 'setpriv'))
    await expect(chooseSandbox('auto', { programDirs: [programDir], probeTimeoutMs: 50 })).rejects.toThrow(
      /not known\. bubblewrap failed \(it did not answer in time\)\. Try again/,
    )
    expect(pidsWith(mark)).toEqual([])
  })

  test('never falls back when bwrap was asked for', async () => {
    await expect(chooseSandbox('bwrap', { programDirs: [programDir] })).rejects.toThrow(
      /bwrap sandbox does not work here\. bubblewrap is not installed: run `apt-get install bubblewrap`/,
    )
  })

  test('takes bwrap on a host that refuses a filter of system calls, with a warning that says so', async () => {
    const bwrap = `#!/bin/sh
case "$*" in *--seccomp*) echo "bwrap: prctl(PR_SET_SECCOMP): Invalid argument" >&2; exit 1;; esac
exec /usr/bin/bwrap "$@"
`
    writeFileSync(join(programDir, 'bwrap'), bwrap, { mode: 0o755 })
    const options = { programDirs: [programDir, '/usr/bin'] }
    const { sandbox, findings, warning } = await chooseSandbox('auto', options)
    await sandbox.close()
    expect(findings).toMatchObject([{ driver: 'bwrap', works: true }])
    expect(warning).toMatch(/WITHOUT a filter of system calls: .*PR_SET_SECCOMP.*Invalid argument/)
    expect(findings[0]?.detail).toContain(warning)
  })

  test('takes bwrap on a processor without a table of system calls, with a warning that says so', async () => {
    const { sandbox, warning } = await chooseSandbox('bwrap', { architecture: 'riscv64' })
    await sandbox.close()
    expect(warning).toMatch(/WITHOUT a filter of system calls: .*riscv64/)
  })

  test('does not go without the filter because bwrap failed for another reason', async () => {
    const calls = join(programDir, 'calls')
    const bwrap = `#!/bin/sh\necho "$*" >> ${calls}\necho "bwrap: out of luck" >&2\nexit 1\n`
    writeFileSync(join(programDir, 'bwrap'), bwrap, { mode: 0o755 })
    symlinkSync('/usr/bin/setpriv', join(programDir, 'setpriv'))
    const choice = chooseSandbox('bwrap', { programDirs: [programDir] })
    await expect(choice).rejects.toThrow(/out of luck/)
    expect(readFileSync(calls, 'utf8').trim().split('\n')).toEqual([expect.stringContaining('--seccomp')])
  })

  test('warns of plain processes also when they were asked for', async () => {
    const chosen = await chooseSandbox('process')
    await chosen.sandbox.close()
    expect(chosen.warning).toMatch(/WITHOUT isolation/)
  })

  test.each([
    ['setting up uid map: Permission denied', /kernel\.apparmor_restrict_unprivileged_userns=0/],
    ['No permissions to creating new namespace', /kernel\.unprivileged_userns_clone=1/],
    ["Can't mount proc on /newroot/proc: Operation not permitted", /systempaths=unconfined/],
  ])('says what to do about a bwrap that fails with "%s"', async (complaint, remedy) => {
    const error = await chooseSandbox('bwrap', brokenBwrap(complaint)).catch((thrown: unknown) => thrown)
    expect(String(error)).toContain(complaint)
    expect(String(error)).toMatch(remedy)
  })
})
