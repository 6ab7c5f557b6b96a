// Everything that has to hold before a change is taken, on a fresh clone too: installs what is missing, then checks
// the code and runs the tests. Ends with one line of numbers, in which a failed check counts as a failed test.
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

setUp()
const tally = { passed: 0, failed: 0, skipped: 0 }
for (const [name, command] of CHECKS) if (!passes(name, command)) tally.failed += 1
await runTests()
const skipped = tally.skipped > 0 ? `, ${tally.skipped} skipped` : ''
process.stdout.write(`${tally.passed} passed, ${tally.failed} failed${skipped}\n`)
process.exitCode = tally.failed === 0 && tally.passed > 0 ? 0 : 1

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

async function runTests() {
  const place = mkdtempSync(join(tmpdir(), 'anvoke-tests-'))
  const file = join(place, 'results.json')
  const args = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
  try {
    const code = await new Promise((resolve) => {
      const child = spawn(carriedNode, [join(root, 'node_modules', 'vitest', 'vitest.mjs'), ...args], {
        cwd: root,
        env: checkoutEnvironment(),
        stdio: ['ignore', 2, 2],
      })
      child.once('error', (error) => say(error.message))
      child.once('close', resolve)
    })
    count(readResults(file), code)
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}

/** Adds what the tests' own report says; a run that failed without a failed test counts as one. */
function count(results, code) {
  const failedTests = results?.numFailedTests ?? 0
  const brokenFiles = (results?.testResults ?? []).filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((assertion) => assertion.status === 'failed'),
  ).length
  const failed = failedTests + brokenFiles
  tally.passed += results?.numPassedTests ?? 0
  tally.skipped += (results?.numPendingTests ?? 0) + (results?.numTodoTests ?? 0)
  tally.failed += failed === 0 && code !== 0 ? 1 : failed
}

function readResults(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return undefined
  }
}
