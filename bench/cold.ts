// First calls, idle memory and what the sandbox costs: `npm run bench:cold`. Prints a table, or JSON with `--json`; see README.md.
import { performance } from 'node:perf_hooks'
import { measureBurst, type Burst } from './cold/burst.ts'
import { measureIdleMemory, type IdleMemory } from './cold/idle-memory.ts'
import { formatCold, type ColdResults } from './cold/report.ts'
import { measureRows } from './cold/rows.ts'
import { serversOf, setStage } from './cold/stage.ts'
import { judgeCold } from './cold/targets.ts'
import { measureWarmCost } from './cold/warm-cost.ts'
import { describeMachine } from './machine.ts'
import { stopCleanly } from './process.ts'
import { attempts, Program, progress, publish, readOptions } from './program.ts'
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

const options = readOptions(usage)
const mode = options.quick ? 'quick' : 'default'
const plan = plans[mode]
const program = new Program('anvoke-bench-')
const { directory, signal } = program
await program.run(async () => publish(await measure(), resultsFile, formatCold, options))

async function measure(): Promise<ColdResults> {
  const startedAt = new Date()
  const machine = describeMachine()
  const problems: string[] = []
  const attempt = attempts({ signal, progress, problems })
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
}
