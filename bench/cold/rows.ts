import { execFile } from 'node:child_process'
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { cleanEnvironment } from '../process.ts'
import { median, spread, type Spread } from '../statistics.ts'
import type { RunningAnvoke } from '../systems/anvoke.ts'
import type { Workload } from '../workloads.ts'
import {
  createDependencies,
  deploy,
  settle,
  timeCall,
  untilNoProcess,
  writeDependencies,
  type Language,
  type Stage,
} from './stage.ts'

const run = promisify(execFile)

/** Calls in a row whose median is the time of a warm one. */
const WARM_CALLS = 20
/** An instance that rested for so long has been put to sleep, where the host can do that. */
const REST_MS = 600

/** One kind of start or call. */
interface Row {
  readonly name: string
  /** The row whose time of the same round its own is divided by. */
  readonly baseline?: string
  /** The row of warm calls whose time of the same round is taken from its own. */
  readonly warm?: string
  /** Prepares what it needs, then measures once, in ms. */
  measure(round: number): Promise<number>
}

/** What all rounds gave for one row, in ms. */
export interface Figure {
  readonly name: string
  readonly ms: Spread
  readonly ratio: (Spread & { readonly to: string }) | undefined
  readonly aboveWarmMs: Spread | undefined
  /** One entry for each round, in order; NaN where it failed. */
  readonly rounds: readonly number[]
}

/**
 * Measures every kind of start once in each round; the order shifts by one every round.
 *
 * @param plan.untilMs `performance.now()` after which no round begins.
 * @param problems Gets what failed; a row that failed is left out of later rounds.
 */
export async function measureRows(
  stage: Stage,
  hello: Workload,
  directory: string,
  plan: { readonly rounds: number; readonly untilMs: number },
  problems: string[],
  signal: AbortSignal,
  progress: (text: string) => void,
): Promise<readonly Figure[]> {
  const rows = await createRows(stage, hello, directory, signal)
  const times = new Map<string, number[]>(rows.map(({ name }) => [name, []]))
  const failed = new Set<string>()
  for (let round = 0; round < plan.rounds && (round === 0 || performance.now() < plan.untilMs); round += 1) {
    progress(`round ${round + 1} of ${plan.rounds}`)
    for (let turn = 0; turn < rows.length; turn += 1) {
      const row = rows[(turn + round) % rows.length]
      if (row === undefined) continue
      times.get(row.name)?.push(failed.has(row.name) ? Number.NaN : await attempt(row, round))
    }
  }
  const of = (name: string | undefined) => (name === undefined ? undefined : times.get(name))
  return rows.map(({ name, baseline, warm }) => {
    const own = of(name) ?? []
    const base = of(baseline)
    const warmOf = of(warm)
    return {
      name,
      ms: spread(present(own)),
      ratio:
        base === undefined || baseline === undefined
          ? undefined
          : { to: baseline, ...spread(present(own.map((ms, index) => ms / (base[index] ?? Number.NaN)))) },
      aboveWarmMs:
        warmOf === undefined
          ? undefined
          : spread(present(own.map((ms, index) => ms - (warmOf[index] ?? Number.NaN)))),
      rounds: own,
    }
  })

  async function attempt(row: Row, round: number): Promise<number> {
    try {
      return await row.measure(round)
    } catch (error) {
      signal.throwIfAborted()
      failed.add(row.name)
      problems.push(`${row.name}: ${error instanceof Error ? error.message : String(error)}`)
      return Number.NaN
    }
  }
}

/** The name of a row, the same wherever it is looked for. */
export const rowNames = {
  bare: (language: Language['name']) => (language === 'Node.js' ? 'bare node -e 0' : 'bare python3 -c 0'),
  warm: (language: Language['name']) => `${language}: warm call`,
  rested: (language: Language['name']) => `${language}: call of an instance that rested`,
  pooled: (language: Language['name']) => `${language}: first call, processes started ahead`,
  unpooled: (language: Language['name']) => `${language}: first call, none started ahead`,
  evicted: (language: Language['name']) => `${language}: call after idle eviction`,
  bareDependencies: 'bare node, 5 MB of dependencies',
  dependencies: 'Node.js: first call, 5 MB of dependencies',
}

async function createRows(
  stage: Stage,
  hello: Workload,
  directory: string,
  signal: AbortSignal,
): Promise<readonly Row[]> {
  const { pooled, unpooled, languages } = stage
  const [node] = languages
  const perLanguage = await Promise.all(languages.map((language) => rowsOf(language)))
  const program = writeDependencies(directory)
  const { files, load } = createDependencies()
  const withDependencies: Row[] =
    node === undefined
      ? []
      : [
          { name: rowNames.bareDependencies, measure: () => timeProgram(node.interpreter, [program]) },
          {
            name: rowNames.dependencies,
            baseline: rowNames.bareDependencies,
            warm: rowNames.warm('Node.js'),
            measure: (round) =>
              firstCall(pooled, { ...node, hello: load + node.hello }, `deps-${round}`, files),
          },
        ]
  return [...perLanguage.flat(), ...withDependencies]

  async function rowsOf(language: Language): Promise<Row[]> {
    const { name, interpreter } = language
    const suffix = name === 'Python' ? 'py' : 'js'
    const baseline = rowNames.bare(name)
    const warm = rowNames.warm(name)
    await deploy(pooled, language, `warm-${suffix}`)
    await deploy(pooled, language, `rested-${suffix}`)
    const evicted = `evicted-${suffix}`
    await deploy(stage.evicting, language, evicted, { processName: `bench-${evicted}`.slice(0, 15) })
    return [
      {
        name: baseline,
        measure: () => timeProgram(interpreter, name === 'Python' ? ['-c', '0'] : ['-e', '0']),
      },
      { name: warm, measure: () => warmCall(`warm-${suffix}`) },
      { name: rowNames.rested(name), warm, measure: () => restedCall(`rested-${suffix}`) },
      {
        name: rowNames.pooled(name),
        baseline,
        warm,
        measure: (round) => firstCall(pooled, language, `pooled-${suffix}-${round}`),
      },
      {
        name: rowNames.unpooled(name),
        baseline,
        warm,
        measure: (round) => firstCall(unpooled, language, `unpooled-${suffix}-${round}`),
      },
      { name: rowNames.evicted(name), baseline, warm, measure: () => callAfterEviction(evicted) },
    ]
  }

  async function warmCall(functionName: string): Promise<number> {
    await timeCall(pooled, functionName, hello)
    const times: number[] = []
    for (let call = 0; call < WARM_CALLS; call += 1) times.push(await timeCall(pooled, functionName, hello))
    return median(times)
  }

  async function restedCall(functionName: string): Promise<number> {
    await timeCall(pooled, functionName, hello)
    await delay(REST_MS, undefined, { signal })
    await wakeClient(pooled)
    return await timeCall(pooled, functionName, hello)
  }

  async function firstCall(
    server: RunningAnvoke,
    language: Language,
    functionName: string,
    files?: ReadonlyMap<string, string>,
  ): Promise<number> {
    await deploy(server, language, functionName, files === undefined ? {} : { files })
    await settle(server, signal)
    await wakeClient(server)
    const elapsedMs = await timeCall(server, functionName, hello)
    await server.client.deleteFunction(server.service, functionName)
    return elapsedMs
  }

  async function callAfterEviction(functionName: string): Promise<number> {
    // Called once before; from then on every round leaves an instance that the next one finds gone.
    await timeCall(stage.evicting, functionName, hello)
    await untilNoProcess(stage.evicting, `bench-${functionName}`.slice(0, 15), signal)
    await settle(stage.evicting, signal)
    await wakeClient(stage.evicting)
    return await timeCall(stage.evicting, functionName, hello)
  }

  /** The call that is timed must not be the one that opens a connection or compiles the server's own code paths. */
  async function wakeClient(server: RunningAnvoke): Promise<void> {
    await (await fetch(`${server.origin}/healthz`, { signal })).arrayBuffer()
  }
}

async function timeProgram(program: string, args: readonly string[]): Promise<number> {
  const startedAtMs = performance.now()
  await run(program, args, { env: cleanEnvironment() })
  return performance.now() - startedAtMs
}

function present(values: readonly number[]): readonly number[] {
  return values.filter((value) => !Number.isNaN(value))
}
