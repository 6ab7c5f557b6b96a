import { performance } from 'node:perf_hooks'
import { runLoad, type Load, type LoadResult, type Target } from '../load.ts'
import { spread, type Spread } from '../statistics.ts'
import type { RunningAnvoke } from '../systems/anvoke.ts'
import type { Workload } from '../workloads.ts'
import { baselines, measureBaseline } from './baselines.ts'
import { acceptedLoad, asyncTarget, countCalls, untilEnded } from './calls.ts'

/** Simultaneous connections at which calls are accepted. */
export const acceptConnections = [1, 16, 64] as const
/** And at which they are run, too. */
export const runConnections = [16, 64] as const

/** Functions with the code of "hello": one whose calls wait, one whose calls run. */
export const functionNames = { waiting: 'accepted', running: 'accepted-and-run' } as const

/** The name of a row, the same wherever it is looked for. */
export const rateNames = {
  append: baselines[0].name,
  warm: (connections: number) => `warm call, ${connections} conn.`,
  accept: (connections: number) => `accepted, ${connections} conn.`,
  run: (connections: number) => `accepted and run, ${connections} conn.`,
}

interface Sample {
  readonly perSecond: number
  readonly load?: LoadResult
}

interface Row {
  readonly name: string
  /** The row of warm calls at the same connections. */
  readonly warm?: string
  measure(): Promise<Sample>
}

/** What all rounds gave for one row. */
export interface Rate {
  readonly name: string
  readonly perSecond: Spread
  /** Divided by warm calls at the same connections, and by the single writer that appends, each of the same round. */
  readonly toWarm: Spread | undefined
  readonly toAppend: Spread | undefined
  readonly p50Ms: Spread | undefined
  readonly p99Ms: Spread | undefined
  /** Per second, one entry for each round, in order; NaN where it failed. */
  readonly rounds: readonly number[]
}

/** Deploys what {@link measureRates} calls. */
export async function prepareRates({ client, service }: RunningAnvoke, source: string): Promise<void> {
  for (const functionName of Object.values(functionNames))
    await client.createFunction(service, { functionName, source })
}

/**
 * Measures every row once in each round; the order shifts by one every round.
 *
 * @param directory Where the baselines write: on the file system of the server's data.
 * @param problems Gets what failed; a row that failed is left out of later rounds.
 * @param between Called after each round, for what else is to be measured in it.
 */
export async function measureRates(
  server: RunningAnvoke,
  hello: Workload,
  directory: string,
  plan: { readonly rounds: number; readonly runSeconds: number },
  problems: string[],
  signal: AbortSignal,
  between: (round: number) => Promise<void>,
): Promise<readonly Rate[]> {
  const accepted = acceptedLoad(hello, directory)
  const rows: readonly Row[] = [
    ...baselines.map((baseline) => ({
      name: baseline.name,
      measure: async () => ({
        perSecond: await measureBaseline(baseline, directory, plan.runSeconds, signal),
      }),
    })),
    ...acceptConnections.map((connections) => ({
      name: rateNames.warm(connections),
      measure: () => loadWith(server.target('anvoke', hello), hello, connections),
    })),
    ...acceptConnections.map((connections) => ({
      name: rateNames.accept(connections),
      warm: rateNames.warm(connections),
      measure: () => accept(connections),
    })),
    ...runConnections.map((connections) => ({
      name: rateNames.run(connections),
      warm: rateNames.warm(connections),
      measure: () => acceptAndRun(connections),
    })),
  ]
  const samples = new Map<string, (Sample | undefined)[]>(rows.map(({ name }) => [name, []]))
  for (const connections of acceptConnections) {
    await loadWith(server.target('anvoke', hello), hello, connections)
    await accept(connections)
  }
  await acceptAndRun(acceptConnections[0])
  for (let round = 0; round < plan.rounds; round += 1) {
    for (let turn = 0; turn < rows.length; turn += 1) {
      const row = rows[(turn + round) % rows.length]
      if (row === undefined) continue
      const own = samples.get(row.name)
      own?.push(round > own.filter((sample) => sample !== undefined).length ? undefined : await attempt(row))
    }
    await between(round)
  }
  const perSecond = (name: string) =>
    (samples.get(name) ?? []).map((sample) => sample?.perSecond ?? Number.NaN)
  const loads = (name: string) => (samples.get(name) ?? []).flatMap((sample) => sample?.load ?? [])
  const ratio = (name: string, base: string) =>
    spread(present(perSecond(name).map((value, round) => value / (perSecond(base)[round] ?? Number.NaN))))
  return rows.map(({ name, warm }) => ({
    name,
    perSecond: spread(present(perSecond(name))),
    toWarm: warm === undefined ? undefined : ratio(name, warm),
    toAppend: name === rateNames.append ? undefined : ratio(name, rateNames.append),
    p50Ms: loads(name).length === 0 ? undefined : spread(loads(name).map(({ p50Ms }) => p50Ms)),
    p99Ms: loads(name).length === 0 ? undefined : spread(loads(name).map(({ p99Ms }) => p99Ms)),
    rounds: perSecond(name),
  }))

  async function attempt(row: Row): Promise<Sample | undefined> {
    try {
      return await row.measure()
    } catch (error) {
      signal.throwIfAborted()
      problems.push(`${row.name}: ${error instanceof Error ? error.message : String(error)}`)
      return undefined
    }
  }

  async function loadWith(target: Target, load: Load, connections: number): Promise<Sample> {
    const result = await runLoad(target, load, { connections, durationSeconds: plan.runSeconds, signal })
    if (result.firstError !== undefined) throw new Error(result.firstError)
    return { perSecond: result.requestsPerSecond, load: result }
  }

  /** Calls that wait for an hour: nothing but their acceptance is measured. */
  async function accept(connections: number): Promise<Sample> {
    const before = await countCalls(server, functionNames.waiting, signal)
    const sample = await loadWith(asyncTarget(server, functionNames.waiting, true), accepted, connections)
    const known = (await countCalls(server, functionNames.waiting, signal)) - before
    requireKnown(known, sample)
    return sample
  }

  /** From the first request until every accepted call has ended. */
  async function acceptAndRun(connections: number): Promise<Sample> {
    const name = functionNames.running
    const before = await countCalls(server, name, signal, 'FINISHED')
    const startedAtMs = performance.now()
    const sample = await loadWith(asyncTarget(server, name, false), accepted, connections)
    await untilEnded(server, name, signal)
    const elapsedMs = performance.now() - startedAtMs
    const ended = (await countCalls(server, name, signal, 'FINISHED')) - before
    requireKnown(ended, sample)
    return { perSecond: (ended * 1000) / elapsedMs }
  }
}

/** The last answers may not have reached the load generator any more: the server may know more calls, never fewer. */
function requireKnown(known: number, { load }: Sample): void {
  const answered = load?.requests ?? 0
  if (known < answered) throw new Error(`${answered} calls were accepted, and ${known} are known`)
}

function present(values: readonly number[]): readonly number[] {
  return values.filter((value) => !Number.isNaN(value))
}
