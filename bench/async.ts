// Asynchronous calls: accepting them, running them, having many of them wait: `npm run bench:async`. Prints a table, or JSON with
// `--json`; see README.md.
import { mkdtempSync } from 'node:fs'
import { RECORD_BYTES } from './async/baselines.ts'
import { measureRates, prepareRates, type Rate } from './async/rates.ts'
import { formatAsync, type AsyncResults, type Percentiles, type Starts } from './async/report.ts'
import { CLOCK, measureStart, measureSyncStart, type Start } from './async/start-delay.ts'
import { judgeAsync } from './async/targets.ts'
import { measureWaiting, ROOM } from './async/waiting.ts'
import { describeMachine } from './machine.ts'
import { stopCleanly } from './process.ts'
import { attempts, Program, progress, publish, readOptions } from './program.ts'
import { quantile } from './statistics.ts'
import { createAnvoke, functionSource } from './systems/anvoke.ts'
import { createWorkloads } from './workloads.ts'

const usage = 'Usage: npm run bench:async -- [--quick] [--json] [--strict]'
const resultsFile = new URL('results/async.json', import.meta.url)

/** How much is measured: rounds of rates, each with so many single calls; rounds with waiting calls. */
const plans = {
  default: {
    rounds: 7,
    runSeconds: 1,
    starts: 50,
    waiting: {
      sizes: [1000, 100_000, 1_000_000],
      fillSeconds: 150,
      rounds: 5,
      gets: 200,
      starts: 40,
      runSeconds: 1,
    },
  },
  quick: {
    rounds: 1,
    runSeconds: 1,
    starts: 10,
    waiting: { sizes: [1000, 20_000], fillSeconds: 20, rounds: 1, gets: 40, starts: 5, runSeconds: 1 },
  },
} as const

const options = readOptions(usage)
const mode = options.quick ? 'quick' : 'default'
const plan = plans[mode]
const program = new Program('anvoke-bench-')
const { directory, signal } = program
await program.run(async () => publish(await measure(), resultsFile, formatAsync, options))

async function measure(): Promise<AsyncResults> {
  const startedAt = new Date()
  const machine = describeMachine()
  if (machine.loadAverage > 0.5)
    progress(`the machine is busy: load average ${machine.loadAverage.toFixed(2)}`)
  const problems: string[] = []
  const attempt = attempts({ signal, progress, problems })
  const [hello] = createWorkloads(directory)
  const anvoke = createAnvoke(mkdtempSync(`${directory}/anvoke-`))
  const starts: Start[] = []
  const syncStarts: number[] = []
  const rates: readonly Rate[] =
    (await attempt('rates', async () => {
      const server = await anvoke.start(signal, { flags: ROOM })
      await server.prepare()
      await prepareRates(server, functionSource('hello'))
      await server.client.createFunction(server.service, {
        functionName: CLOCK,
        source: functionSource('clock'),
      })
      const measured = await measureRates(server, hello, directory, plan, problems, signal, async (round) => {
        progress(`round ${round + 1} of ${plan.rounds}: single calls`)
        // The first two have an instance made.
        await measureSyncStart(server, signal)
        await measureStart(server, signal)
        for (let call = 0; call < plan.starts; call += 1) {
          syncStarts.push(await measureSyncStart(server, signal))
          starts.push(await measureStart(server, signal))
        }
      })
      await stopCleanly(server.child, problems)
      return measured
    })) ?? []
  const waiting =
    (await attempt('calls that wait', () =>
      measureWaiting(anvoke, hello, directory, plan.waiting, problems, signal, progress),
    )) ?? []
  const summary = starts.length === 0 ? undefined : summarise(starts, syncStarts)
  return {
    startedAt: startedAt.toISOString(),
    elapsedSeconds: (Date.now() - startedAt.getTime()) / 1000,
    mode,
    machine,
    recordBytes: RECORD_BYTES,
    rates,
    starts: summary,
    waiting,
    targets: judgeAsync(rates, summary, waiting),
    problems,
  }
}

function summarise(starts: readonly Start[], syncStarts: readonly number[]): Starts {
  return {
    calls: starts.length,
    syncMs: percentiles(syncStarts),
    acceptedToBegunMs: percentiles(starts.map(({ acceptedToBegunMs }) => acceptedToBegunMs)),
    sentToBegunMs: percentiles(starts.map(({ sentToBegunMs }) => sentToBegunMs)),
    recordedMs: percentiles(starts.map(({ recordedMs }) => recordedMs)),
  }
}

function percentiles(values: readonly number[]): Percentiles {
  return { p50: quantile(values, 0.5), p99: quantile(values, 0.99) }
}
