// Everything that has to hold before a change is taken, on a fresh clone too: installs what is missing, then checks
// the code and runs the tests. Ends with one line of numbers, in which each check counts as a test.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { carriedNode, checkoutEnvironment, root, say, setUp } from './setup.js'

const CHECKS = [
  ['lint', ['oxlint', '--type-aware', '--deny-warnings']],
  ['types', ['tsc', '-p', 'tsconfig.json']],
  ['types of the bootstrap', ['tsc', '-p', join('src', 'runtimes', 'nodejs', 'tsconfig.json')]],
  ['format', ['prettier', '--check', '.']],
  ['unused code', ['knip']],
  ['build', ['node', join('scripts', 'build.js')]],
  ['package', ['publint', '--strict']],
]

setUp({ forTests: true })
const failedChecks = CHECKS.filter(([name, command]) => !passes(name, command)).map(([name]) => name)
const tests = await runTests()
const names = CHECKS.map(([name]) => name + (failedChecks.includes(name) ? ': FAILED' : '')).join(', ')
say(`Counted are ${CHECKS.length} checks (${names}) and the tests: ${wordsFor(tests)}.`)
const all = {
  ...tests,
  passed: tests.passed + CHECKS.length - failedChecks.length,
  failed: tests.failed + failedChecks.length,
}
process.stdout.write(`${wordsFor(all)}\n`)
process.exitCode = all.failed === 0 && tests.passed > 0 ? 0 : 1

function wordsFor({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

/** Runs one check and shows what it says only when it fails. */
function passes(name, [program, ...args]) {
  const startedAtMs = Date.now()
  const { status, stdout, stderr, error } = spawnSync(join(root, 'node_modules', '.bin', program), args, {
    cwd: root,
    env: checkoutEnvironment(),
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  const isPassed = status === 0
  const seconds = ((Date.now() - startedAtMs) / 1000).toFixed(1)
  say(`${isPassed ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`)
  if (!isPassed) say(`${stdout ?? ''}${stderr ?? ''}${error === undefined ? '' : error.message}`)
  return isPassed
}

/** Runs all tests and resolves with their numbers; a run that failed without a failed test counts as one. */
async function runTests() {
  const place = mkdtempSync(join(tmpdir(), 'anvoke-tests-'))
  const file = join(place, 'tally.json')
  const reporters = ['--reporter=default', `--reporter=${join(root, 'scripts', 'tally-reporter.js')}`]
  try {
    const code = await new Promise((resolve) => {
      const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
      const child = spawn(carriedNode, [vitest, 'run', ...reporters], {
        cwd: root,
        env: checkoutEnvironment({ TEST_TALLY: file }),
        stdio: ['ignore', 2, 2],
      })
      child.once('error', (error) => say(error.message))
      child.once('close', resolve)
    })
    const tally = readTally(file)
    return code !== 0 && tally.failed === 0 ? { ...tally, failed: 1 } : tally
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}

function readTally(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return { passed: 0, failed: 1, skipped: 0 }
  }
}
