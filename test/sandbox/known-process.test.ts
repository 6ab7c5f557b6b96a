import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test, type TestContext } from 'vitest'

/** What a program says in a pid namespace of its own. */
function toldBy(program: URL, context: TestContext): unknown {
  context.skip(process.getuid?.() !== 0, 'a pid namespace takes root')
  context.skip(
    !existsSync('/proc/sys/kernel/ns_last_pid'),
    'this kernel lets nobody say which number is next',
  )
  const unshare = [
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
    process.execPath,
    fileURLToPath(program),
  ]
  const { stdout, stderr } = spawnSync('unshare', unshare, { encoding: 'utf8' })
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}

test('a process is known from another one that has its number later', (context) => {
  expect(toldBy(new URL('pid-again.ts', import.meta.url), context)).toEqual({
    isAgain: true,
    told: [true, false, false],
  })
})

test('a sandbox of bwrap whose first process has ended kills nobody who has its number', (context) => {
  expect(toldBy(new URL('pid-of-bwrap-again.ts', import.meta.url), context)).toEqual({
    isAgain: true,
    signal: 'SIGUSR1',
  })
})
