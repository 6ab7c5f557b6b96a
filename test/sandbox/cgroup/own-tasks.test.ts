import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ownTasks } from '../../../src/sandbox/cgroup/own-tasks.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'anvoke-own-tasks-'))
  mkdirSync(join(dir, 'service', 'server'), { recursive: true })
})
afterEach(() => rmSync(dir, { recursive: true }))

const ofHost = (): number =>
  Math.min(
    ...['pid_max', 'threads-max'].map((name) => Number(readFileSync(`/proc/sys/kernel/${name}`, 'latin1'))),
  )

test('where groups allow more, the limits of the host count', async () => {
  writeFileSync(join(dir, 'pids.max'), `${ofHost() * 2}\n`)
  writeFileSync(join(dir, 'service', 'pids.max'), 'max\n')
  expect(await ownTasks(join(dir, 'service', 'server'))).toBe(ofHost())
})

test('the least limit around the server counts', async () => {
  writeFileSync(join(dir, 'pids.max'), '700\n')
  writeFileSync(join(dir, 'service', 'pids.max'), '300\n')
  writeFileSync(join(dir, 'service', 'server', 'pids.max'), 'max\n')
  expect(await ownTasks(join(dir, 'service', 'server'))).toBe(300)
  expect(await ownTasks(dir)).toBe(700)
})
