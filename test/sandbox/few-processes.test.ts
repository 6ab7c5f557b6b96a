import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { probeSandboxes } from '../../src/sandbox/probe.ts'

const INSIDE = fileURLToPath(new URL('seccomp/inside.ts', import.meta.url))
const works = (await probeSandboxes()).some(({ driver, works: does }) => driver === 'bwrap' && does)

// Linux gives a host with 4 GiB of memory less than 16 384; needs a sandbox to try it in.
test.runIf(works)('a server that may have few processes gives its functions as many, and works', async () => {
  const command = JSON.stringify(['/bin/grep', '^Max processes', '/proc/self/limits'])
  const { stdout } = await promisify(execFile)(
    'prlimit',
    ['--nproc=900:900', '--', process.execPath, INSIDE, command],
    { env: { PATH: process.env['PATH'] }, cwd: '/' },
  )
  const { exit, stdout: limits, warning } = JSON.parse(stdout)
  expect({ exit, warning }).toEqual({ exit: { kind: 'exited', exitCode: 0 }, warning: undefined })
  expect(limits).toMatch(/^Max processes +900 +900 /)
})
