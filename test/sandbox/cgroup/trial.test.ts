import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const TRIAL = fileURLToPath(new URL('../../../src/sandbox/cgroup/trial.ts', import.meta.url))

test('the process of the trial does not outlive a server that is killed while it stands still', async () => {
  const program = `
    const { startWaiting } = await import(${JSON.stringify(TRIAL)})
    const { readFileSync } = await import('node:fs')
    const { pid } = startWaiting()
    while (readFileSync('/proc/' + pid + '/comm', 'utf8') !== 'cat\\n') await new Promise(setImmediate)
    process.kill(pid, 'SIGSTOP')
    process.stdout.write(String(pid))
    process.kill(process.pid, 'SIGKILL')`
  const server = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [pid] = await Promise.all([text(server.stdout), once(server, 'exit')])
  expect(Number(pid)).toBeGreaterThan(0)
  try {
    await expect.poll(() => isThere(Number(pid)), { timeout: 10_000 }).toBe(false)
  } finally {
    if (isThere(Number(pid))) process.kill(Number(pid), 'SIGKILL')
  }
})

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
