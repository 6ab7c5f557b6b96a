import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { BwrapSandbox } from '../../src/sandbox/bwrap/driver.ts'
import { eventually, pidsWith, uniqueSleep, Workbench } from './harness.ts'

test('a bwrap that never has a child is killed itself, so that closing ends', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'anvoke-hanging-'))
  const mark = uniqueSleep()
  const bwrap = join(dir, 'bwrap')
  writeFileSync(bwrap, `#!/bin/sh\nexec sleep ${mark}\n`, { mode: 0o755 })
  const workbench = new Workbench()
  const sandbox = new BwrapSandbox({
    launchers: { bwrap, setpriv: '/usr/bin/setpriv' },
    privileges: 'ownUserNamespace',
    filter: undefined,
    stateDir: dir,
    birthTimeoutMs: 20,
  })
  const process = sandbox.start(workbench.shell('true'))
  await eventually(() => pidsWith(mark).length === 1)
  await sandbox.close()
  expect(await process.exited).toEqual({ kind: 'signalled', signal: 'SIGKILL' })
  expect(pidsWith(mark)).toEqual([])
  expect(readdirSync(dir)).toEqual(['bwrap'])
  workbench.close()
  rmSync(dir, { recursive: true })
})
