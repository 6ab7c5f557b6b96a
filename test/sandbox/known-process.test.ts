import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const PROGRAM = fileURLToPath(new URL('pid-again.ts', import.meta.url))
const isRoot = process.getuid?.() === 0

test('a process is known from another one that has its number later', (context) => {
  context.skip(!isRoot, 'a pid namespace takes root')
  context.skip(
    !existsSync('/proc/sys/kernel/ns_last_pid'),
    'this kernel lets nobody say which number is next',
  )
  const unshare = ['--pid', '--fork', '--kill-child', '--mount-proc', process.execPath, PROGRAM]
  const { stdout, stderr } = spawnSync('unshare', unshare, { encoding: 'utf8' })
  expect(stderr).toBe('')
  expect(JSON.parse(stdout)).toEqual({ isAgain: true, told: [true, false, false] })
})
