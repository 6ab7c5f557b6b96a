// The same warm function called through every API the server speaks: `npm run bench -- dialects`. Prints JSON: for each API and
// for plain node:http the median of the rounds with quartiles, and its ratio to the fastest API of the same round.
import { createEntrances } from './entrances.ts'
import { runLoad, type Load, type LoadResult, type Target } from './load.ts'
import { describeMachine } from './machine.ts'
import { stopCleanly } from './process.ts'
import { Program, progress } from './program.ts'
import { spread } from './statistics.ts'
import { createAnvoke } from './systems/anvoke.ts'
import { plain } from './systems/plain.ts'
import { createWorkloads } from './workloads.ts'

const ROUNDS = 7
const CONNECTIONS = 16
/** The slowest API may have this share of the fastest one's throughput. */
const LEAST_SHARE = 0.85

const program = new Program('anvoke-bench-')
const { directory, signal } = program

interface Row {
  readonly name: string
  prepare(): { readonly target: Target; readonly load: Load }
}

await program.run(async () => {
  const problems: string[] = []
  const machine = describeMachine()
  const [hello] = createWorkloads(directory)
  const anvoke = await createAnvoke(directory).start(signal)
  await anvoke.prepare()
  const baseline = await plain.start(signal)
  const entrances = createEntrances(anvoke, 'hello', hello, directory)
  const rows: readonly Row[] = [
    {
      name: 'plain node:http',
      prepare: () => ({
        target: baseline.target('plain', hello),
        load: { ...hello, bodies: 'one per line' as const },
      }),
    },
    ...entrances,
  ]
  const results = new Map<string, LoadResult[]>(rows.map(({ name }) => [name, []]))
  for (const row of rows) await load(row)
  for (let round = 0; round < ROUNDS; round += 1) {
    progress(`round ${round + 1} of ${ROUNDS}`)
    for (let turn = 0; turn < rows.length; turn += 1) {
      const row = rows[(turn + round) % rows.length]
      if (row === undefined) continue
      const result = await load(row)
      results.get(row.name)?.push(result)
      if (result.errors > 0) problems.push(`${row.name}: ${result.firstError}`)
    }
  }
  for (const { child } of [anvoke, baseline]) await stopCleanly(child, problems)
  const perSecond = (name: string): number[] =>
    (results.get(name) ?? []).map(({ requestsPerSecond }) => requestsPerSecond)
  const fastest = Array.from({ length: ROUNDS }, (_, round) =>
    Math.max(...entrances.map(({ name }) => perSecond(name)[round] ?? 0)),
  )
  const figures = rows.map(({ name }) => ({
    name,
    requestsPerSecond: spread(perSecond(name)),
    ratioToFastestApi: spread(perSecond(name).map((value, round) => value / (fastest[round] ?? Number.NaN))),
    ratioToPlain: spread(
      perSecond(name).map((value, round) => value / (perSecond('plain node:http')[round] ?? Number.NaN)),
    ),
    p50Ms: spread((results.get(name) ?? []).map(({ p50Ms }) => p50Ms)),
  }))
  const slowest = Math.min(...figures.slice(1).map(({ ratioToFastestApi }) => ratioToFastestApi.median))
  const report = {
    machine,
    connections: CONNECTIONS,
    rounds: ROUNDS,
    figures,
    target: { bound: `≥ ${LEAST_SHARE}`, measured: slowest, met: slowest >= LEAST_SHARE },
    problems,
  }
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
  return problems.length > 0 ? 1 : 0
})

function load(row: Row): Promise<LoadResult> {
  const prepared = row.prepare()
  return runLoad(prepared.target, prepared.load, { connections: CONNECTIONS, durationSeconds: 1, signal })
}
