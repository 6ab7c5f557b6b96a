import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { withoutDeadLeaders } from '../../../src/sandbox/cgroup/dead-leaders.ts'

test('a process that has only just ended is not left out: what it has started may be outside', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'anvoke-leaders-'))
  // The shell tells of a child that has ended and that it, a sleeper by then, never waits for.
  const parent = spawn('/bin/sh', ['-c', 'true & echo $!; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  try {
    await writeFile(join(dir, 'cgroup.threads'), '')
    const [told] = await once(parent.stdout, 'data')
    const ended = Number(String(told).trim())
    await expect
      .poll(() => readFile(`/proc/${ended}/stat`, 'latin1'), { timeout: 20_000 })
      .toMatch(/^\d+ \((?:true|sh)\) Z/)
    expect(await withoutDeadLeaders([ended], dir)).toEqual([ended])
  } finally {
    const gone = once(parent, 'exit')
    parent.kill('SIGKILL')
    await gone
    await rm(dir, { recursive: true, force: true })
  }
})
