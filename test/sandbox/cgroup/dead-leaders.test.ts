import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { withoutDeadLeaders } from '../../../src/sandbox/cgroup/dead-leaders.ts'
import { hasPython } from '../harness.ts'

const FORKS_AND_FORGETS = `
import os, time
pid = os.fork()
if pid == 0: os._exit(0)
print(pid, flush=True)
time.sleep(60)`

// Needs a program that does not wait for its child: Python.
test.runIf(hasPython)(
  'a process that has only just ended is not left out: what it has started may be outside',
  async () => {
    const dir = await mkdtemp(join(tmpdir(), 'anvoke-leaders-'))
    // It never waits for its child, which so stays as a process that has ended.
    const parent = spawn('python3', ['-c', FORKS_AND_FORGETS], { stdio: ['ignore', 'pipe', 'ignore'] })
    try {
      await writeFile(join(dir, 'cgroup.threads'), '')
      const [told] = await once(parent.stdout, 'data')
      const ended = Number(String(told).trim())
      await expect.poll(() => readFile(`/proc/${ended}/stat`, 'latin1'), { timeout: 20_000 }).toMatch(/\) Z /)
      expect(await withoutDeadLeaders([ended], dir)).toEqual([ended])
    } finally {
      const gone = once(parent, 'exit')
      parent.kill('SIGKILL')
      await gone
      await rm(dir, { recursive: true, force: true })
    }
  },
)
