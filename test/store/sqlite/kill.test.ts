import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { SqliteStore } from '../../../src/store/sqlite/sqlite-store.ts'
import { StoreHarness } from './harness.ts'

const BUSY_SERVER = fileURLToPath(new URL('./busy-server.ts', import.meta.url))

/** Runs a server until it has acknowledged `linesUntilKill` things, and kills it; every line it said. */
async function runAndKill(file: string, round: number, linesUntilKill: number): Promise<string[]> {
  const server = spawn(process.execPath, [BUSY_SERVER, file, String(round)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines: string[] = []
  const reader = createInterface(server.stdout)
  reader.on('line', (line) => {
    lines.push(line)
    if (lines.length === linesUntilKill) server.kill('SIGKILL')
  })
  const [[, signal]] = await Promise.all([once(server, 'exit'), once(reader, 'close')])
  expect(signal).toBe('SIGKILL')
  return lines
}

test('kill -9 loses nothing that was acknowledged, and no ended task comes back', async () => {
  const harness = await StoreHarness.open()
  const accepted = new Set<string>()
  const settling = new Set<string>()
  const ended = new Set<string>()
  await harness.store.close()

  for (const [round, linesUntilKill] of [37, 150, 401, 90, 222].entries()) {
    for (const line of await runAndKill(harness.file, round, linesUntilKill)) {
      if (line.startsWith('+')) accepted.add(line.slice(1))
      if (line.startsWith('?')) settling.add(line.slice(1))
      if (line.startsWith('-')) ended.add(line.slice(1))
    }
    // The lock went with the process, so the next server starts at once.
    const store = await SqliteStore.open({ file: harness.file })
    const claimed = await store.tasks.claim(100_000, 1, 1)
    const waiting = new Map(claimed.map(({ taskId, payload }) => [taskId ?? '', String(payload)]))
    // A task whose ending was written but not yet acknowledged has gone the way it should.
    for (const taskId of settling) if (!waiting.has(taskId)) ended.add(taskId)
    expect([...accepted].filter((taskId) => !waiting.has(taskId) && !ended.has(taskId))).toEqual([])
    settling.clear()
    expect([...ended].filter((taskId) => waiting.has(taskId))).toEqual([])
    for (const [taskId, payload] of waiting) expect(payload).toBe(`payload of ${taskId}`)
    await store.close()
  }
  expect(accepted.size).toBeGreaterThan(300)
  expect(ended.size).toBeGreaterThan(5)
  await harness.restart()
  await harness.close()
}, 60_000)

test('what a killed server had leased is due at once for the next', async () => {
  const harness = await StoreHarness.open()
  await harness.store.close()
  const lines = await runAndKill(harness.file, 0, 100)
  expect(lines.length).toBeGreaterThanOrEqual(100)
  await harness.restart()
  // The killed server leased for a minute, at the time 1.
  const claimed = await harness.tasks().claim(100_000, 1, 1)
  const lostRuns = claimed.filter((task) => task.lostRuns === 1)
  expect(lostRuns.length).toBeLessThanOrEqual(3)
  expect(claimed.every((task) => task.lostRuns <= 1)).toBe(true)
  await harness.close()
})
