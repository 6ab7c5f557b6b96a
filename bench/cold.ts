// First calls, idle memory and what the sandbox costs: `npm run bench:cold`. Prints a table, or JSON with `--json`; see README.md.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { measureBurst, type Burst } from './cold/burst.ts'
import { measureIdleMemory, type IdleMemory } from './cold/idle-memory.ts'
import { formatCold, type ColdResults } from './cold/report.ts'
import { measureRows } from './cold/rows.ts'
import { serversOf, setStage } from './cold/stage.ts'
import { judgeCold } from './cold/targets.ts'
import { measureWarmCost } from './cold/warm-cost.ts'
import { describeMachine } from './machine.ts'
import { killAll, stopAll, stopCleanly } from './process.ts'
import { measureLayers } from './start-cost.ts'
import { createWorkloads } from './workloads.ts'

const usage = 'Usage: npm run bench:cold -- [--quick] [--json] [--strict]'
const resultsFile = new URL('results/cold.json', import.meta.url)

/** How much is measured; the rounds of starts end after `roundsSeconds`, however many they are. */
const plans = {
  default: { rounds: 15, roundsSeconds: 180, burstRounds: 5, idle: 10, layerRounds: 25, warmRounds: 5 },
  quick: { rounds: 2, roundsSeconds: 20, burstRounds: 1, idle: 3, layerRounds: 2, warmRounds: 1 },
} as const
const BURST_CALLS = 50

const options = readOptions()
const mode = options.quick ? 'quick' : 'default'
const plan = plans[mode]
const interruption = new AbortController()
const { signal } = interruption
const directory = mkdtempSync(join(tmpdir(), 'anvoke-bench-'))

process.once('exit', () => {
  killAll()
  rmSync(directory, { recursive: true, force: true })
})
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    // A second signal does not wait for an orderly end.
    if (signal.aborted) process.exit(130)
    interruption.abort(new Error(`interrupted by ${name}`))
  })
}

let exitCode = 1
try {
  const results = await measure()
  const json = `${JSON.stringify(results, null, 2)}\n`
  mkdirSync(new URL('.', resultsFile), { recursive: true })
  writeFileSync(resultsFile, json)
  writeFileSync(1, options.json ? json : `${formatCold(results)}\n`)
  const missed = results.targets.some(({ met }) => met === false)
  exitCode = results.problems.length > 0 || (options.strict && missed) ? 1 : 0
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  exitCode = signal.aborted ? 130 : 1
} finally {
  await stopAll()
}
// Connections that fetch keeps alive would hold the process for some seconds.
process.exit(exitCode)

async function measure(): Promise<ColdResults> {
  const startedAt = new Date()
  const machine = describeMachine()
  const problems: string[] = []
  const [hello] = createWorkloads(directory)
  // Without the servers: nothing else is to run.
  const layers = (await attempt('layers of the sandbox', () => measureLayers(plan.layerRounds, signal))) ?? []
  progress('starting the servers')
  const stage = await setStage(directory, signal)
  const untilMs = performance.now() + plan.roundsSeconds * 1000
  const rows = await measureRows(stage, hello, directory, { ...plan, untilMs }, problems, signal, progress)
  const bursts: Burst[] = []
  const idleMemory: IdleMemory[] = []
  for (const language of stage.languages) {
    const size = { calls: BURST_CALLS, rounds: plan.burstRounds }
    const burst = await attempt(`burst of first calls, ${language.name}`, () =>
      measureBurst(stage.pooled, language, hello, size, signal),
    )
    if (burst === undefined) continue
    bursts.push(burst)
    if (burst.firstError !== undefined) problems.push(`burst, ${language.name}: ${burst.firstError}`)
  }
  const warmCost = await attempt('warm calls with and without the sandbox', () =>
    measureWarmCost(stage, hello, plan.warmRounds, signal),
  )
  if (warmCost?.firstError !== undefined) problems.push(`warm calls: ${warmCost.firstError}`)
  // What other servers keep ready would share pages with the instances: one server at a time.
  for (const server of serversOf(stage))
    if (server !== stage.pooled) await stopCleanly(server.child, problems)
  for (const language of stage.languages) {
    const memory = await attempt(`memory of idle instances, ${language.name}`, () =>
      measureIdleMemory(stage.pooled, language, hello, plan.idle, signal),
    )
    if (memory !== undefined) idleMemory.push(memory)
  }
  await stopCleanly(stage.pooled.child, problems)
  return {
    startedAt: startedAt.toISOString(),
    elapsedSeconds: (Date.now() - startedAt.getTime()) / 1000,
    mode,
    machine,
    rows,
    bursts,
    idleMemory,
    layers,
    warmCost,
    targets: judgeCold(rows, warmCost, idleMemory),
    problems,
  }

  async function attempt<T>(phase: string, action: () => Promise<T>): Promise<T | undefined> {
    signal.throwIfAborted()
    progress(phase)
    try {
      return await action()
    } catch (error) {
      signal.throwIfAborted()
      problems.push(`${phase}: ${error instanceof Error ? error.message : String(error)}`)
      return undefined
    }
  }
}

function progress(text: string): void {
  process.stderr.write(`bench: ${text}\n`)
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        strict: { type: 'boolean', default: false },
      },
    })
    return values
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`)
    return process.exit(2)
  }
}
