import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'

const MODULE = fileURLToPath(new URL('../../../src/sandbox/cgroup/control-file.ts', import.meta.url))
const NOBODY = 65_534
const asNobody = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}
const mayRead =
  spawnSync('/bin/sh', ['-c', '[ -r "$0" ] && [ -x "$1" ]', MODULE, process.execPath], asNobody).status === 0

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'anvoke-control-'))
  chmodSync(dir, 0o711)
})
afterEach(() => rmSync(dir, { recursive: true }))

// Root may read everything; the other user must be able to read the checkout.
test.runIf(mayRead)('an ordinary user writes a file that nobody may read, as cgroup.kill is', () => {
  const file = join(dir, 'cgroup.kill')
  writeFileSync(file, '')
  if (asNobody.uid !== undefined) chownSync(file, NOBODY, NOBODY)
  chmodSync(file, 0o200)
  const write =
    'import(process.argv[1]).then(({ setControl }) => setControl(process.argv[2], 1)).catch(({ code }) => console.log(code))'
  const { stdout } = spawnSync(process.execPath, ['-e', write, MODULE, file], asNobody)
  expect(stdout.toString()).toBe('')
  chmodSync(file, 0o600)
  expect(readFileSync(file, 'latin1')).toBe('1')
})
