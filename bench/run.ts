import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { measure, serverNames } from './measure.ts'
import { defaultPlan, quickPlan } from './plan.ts'
import { killAll, stopAll } from './process.ts'
import { formatResults } from './report.ts'

const usage = `Usage: npm run bench -- [--quick] [--json] [--strict] [--servers ${serverNames.join(',')}]`
const resultsFile = new URL('results/latest.json', import.meta.url)

const options = readOptions()
const interruption = new AbortController()
const directory = mkdtempSync(join(tmpdir(), 'anvoke-bench-'))

process.once('exit', () => {
  killAll()
  rmSync(directory, { recursive: true, force: true })
})
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    // A second signal does not wait for an orderly end.
    if (interruption.signal.aborted) process.exit(130)
    interruption.abort(new Error(`interrupted by ${name}`))
  })
}

let exitCode = 1
try {
  const results = await measure({
    plan: options.quick ? quickPlan : defaultPlan,
    servers: options.servers,
    directory,
    signal: interruption.signal,
    progress: (text) => process.stderr.write(`bench: ${text}\n`),
  })
  const json = `${JSON.stringify(results, null, 2)}\n`
  mkdirSync(new URL('.', resultsFile), { recursive: true })
  writeFileSync(resultsFile, json)
  writeFileSync(1, options.json ? json : `${formatResults(results)}\n`)
  const missed = results.targets.some((target) => target.met === false)
  exitCode = results.problems.length > 0 || (options.strict && missed) ? 1 : 0
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  exitCode = interruption.signal.aborted ? 130 : 1
} finally {
  await stopAll()
}
// Connections that fetch keeps alive would hold the process for some seconds.
process.exit(exitCode)

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        strict: { type: 'boolean', default: false },
        servers: { type: 'string', default: serverNames.join(',') },
      },
    })
    const servers = values.servers.split(',')
    const unknown = servers.find((name) => !serverNames.some((known) => known === name))
    if (unknown !== undefined) throw new Error(`unknown server "${unknown}"`)
    return { ...values, servers }
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`)
    return process.exit(2)
  }
}
