import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { runLoad } from '../load.ts'
import { readMemory } from '../observation.ts'
import { stopCleanly } from '../process.ts'
import { median, spread, type Spread } from '../statistics.ts'
import { functionSource, type AnvokeServer, type RunningAnvoke } from '../systems/anvoke.ts'
import type { Workload } from '../workloads.ts'
import { acceptedLoad, askForTasks, asyncTarget } from './calls.ts'
import { fillQueue } from './fill.ts'
import { CLOCK, measureStart } from './start-delay.ts'

const FLOODED = 'flooded'
const CONNECTIONS = 16
const PAGE_TASKS = 100
/** Between readiness and the reading of memory. */
const SETTLE_MS = 500
/** Flags of a server that refuses no call for want of room. */
export const ROOM = [
  ...['--max-queued-tasks', '10000000'],
  ...['--max-queued-tasks-per-function', '10000000'],
  ...['--max-queued-mib', '100000'],
]

/** What is measured with calls waiting, and its unit. */
export const waitingFigures = {
  readyMs: 'start-up, ms',
  rssMib: 'RSS, MiB',
  acceptedPerSecond: `accepted a second, ${CONNECTIONS} conn.`,
  getMs: 'get one of them, ms',
  firstPageMs: `list, first page of ${PAGE_TASKS}, ms`,
  nextPageMs: `list, next page of ${PAGE_TASKS}, ms`,
  startMs: "202 to start of another function's call, ms",
} as const

export type WaitingFigure = keyof typeof waitingFigures

/** One figure with so many calls waiting. */
export interface WaitingCost {
  readonly waiting: number
  readonly figure: WaitingFigure
  readonly value: Spread
  /** To the fewest waiting, of the same round. */
  readonly ratio: Spread
  /** Minus that. */
  readonly difference: Spread
  readonly rounds: readonly number[]
}

interface Filled {
  readonly waiting: number
  readonly dataDir: string
  /** The database as it was filled, to begin each round with. Absent where a round adds little to it. */
  readonly pristine: string | undefined
  readonly ids: readonly string[]
}

export interface WaitingPlan {
  /** Calls waiting, fewest first. */
  readonly sizes: readonly number[]
  /** Bound on the filling of each; where it was reached, fewer wait. */
  readonly fillSeconds: number
  readonly rounds: number
  /** Gets in each round; a fifth of them pages. */
  readonly gets: number
  /** Calls of another function in each round. */
  readonly starts: number
  readonly runSeconds: number
}

/** Each round starts a server for each number of waiting calls, one at a time, and measures all figures with it. */
export async function measureWaiting(
  anvoke: AnvokeServer,
  hello: Workload,
  directory: string,
  plan: WaitingPlan,
  problems: string[],
  signal: AbortSignal,
  progress: (text: string) => void,
): Promise<readonly WaitingCost[]> {
  const filled: Filled[] = []
  for (const wanted of plan.sizes) {
    progress(`filling a queue with ${wanted} calls`)
    filled.push(await fill(wanted))
  }
  const sizes = filled.map(({ waiting }) => waiting)
  const rounds = new Map<number, Record<WaitingFigure, number>[]>(sizes.map((size) => [size, []]))
  for (let round = 0; round < plan.rounds; round += 1)
    for (let turn = 0; turn < filled.length; turn += 1) {
      const one = filled[(turn + round) % filled.length]
      if (one === undefined) continue
      progress(`round ${round + 1} of ${plan.rounds}, ${one.waiting} calls waiting`)
      rounds.get(one.waiting)?.push(await measureWith(one))
    }
  for (const { dataDir } of filled) rmSync(dataDir, { recursive: true, force: true })
  const names = Object.keys(waitingFigures).filter(isFigure)
  const of = (size: number | undefined, figure: WaitingFigure) =>
    (rounds.get(size ?? -1) ?? []).map((values) => values[figure])
  return names.flatMap((figure) =>
    sizes.map((waiting) => {
      const own = of(waiting, figure)
      const base = of(sizes[0], figure)
      return {
        waiting,
        figure,
        value: spread(own),
        ratio: spread(own.map((value, round) => value / (base[round] ?? Number.NaN))),
        difference: spread(own.map((value, round) => value - (base[round] ?? Number.NaN))),
        rounds: own,
      }
    }),
  )

  async function fill(wanted: number): Promise<Filled> {
    const dataDir = mkdtempSync(join(directory, `waiting-${wanted}-`))
    const server = await anvoke.start(signal, { dataDir })
    const { client, service, credentials } = server
    await client.createService(service)
    await client.createFunction(service, { functionName: FLOODED, source: functionSource('hello') })
    await client.createFunction(service, { functionName: CLOCK, source: functionSource('clock') })
    await stopCleanly(server.child, problems)
    const owner = { account: credentials.accountId, namespace: service, functionName: FLOODED }
    const untilMs = performance.now() + plan.fillSeconds * 1000
    const { made, ids } = await fillQueue(dataDir, owner, wanted, hello.body, untilMs, signal)
    const pristine = wanted === plan.sizes.at(-1) ? undefined : join(dataDir, 'pristine.db')
    if (pristine !== undefined) copyFileSync(join(dataDir, 'anvoke.db'), pristine)
    return { waiting: made, dataDir, pristine, ids }
  }

  async function measureWith({ dataDir, pristine, ids }: Filled): Promise<Record<WaitingFigure, number>> {
    if (pristine !== undefined) copyFileSync(pristine, join(dataDir, 'anvoke.db'))
    const server = await anvoke.start(signal, { dataDir, flags: ROOM })
    try {
      await delay(SETTLE_MS, undefined, { signal })
      const { rssMib } = readMemory(server.child.pid)
      await accept(server)
      const { requestsPerSecond: acceptedPerSecond } = await accept(server)
      const looks = await look(server, ids)
      const starts: number[] = []
      for (let call = 0; call < plan.starts; call += 1)
        starts.push((await measureStart(server, signal)).acceptedToBegunMs)
      return { readyMs: server.readyMs, rssMib, acceptedPerSecond, ...looks, startMs: median(starts) }
    } finally {
      await stopCleanly(server.child, problems)
    }
  }

  async function accept(server: RunningAnvoke) {
    const options = { connections: CONNECTIONS, durationSeconds: plan.runSeconds, signal }
    const target = asyncTarget(server, FLOODED, false)
    const result = await runLoad(target, acceptedLoad(hello, directory), options)
    if (result.firstError !== undefined) throw new Error(result.firstError)
    return result
  }

  async function look(server: RunningAnvoke, ids: readonly string[]) {
    const ask = (path: string) => askForTasks(server, FLOODED, path, signal)
    const gets: number[] = []
    for (let call = 0; call < plan.gets; call += 1) {
      const id = ids[Math.floor(Math.random() * ids.length)] ?? ''
      gets.push(await timed(() => ask(`/${id}`)))
    }
    const firstPages: number[] = []
    const nextPages: number[] = []
    for (let call = 0; call < plan.gets / 5; call += 1) {
      let token = ''
      firstPages.push(
        await timed(async () => {
          token = nextTokenOf(await ask(`?limit=${PAGE_TASKS}`))
        }),
      )
      nextPages.push(await timed(() => ask(`?limit=${PAGE_TASKS}&nextToken=${token}`)))
    }
    return { getMs: median(gets), firstPageMs: median(firstPages), nextPageMs: median(nextPages) }
  }
}

function nextTokenOf(page: string): string {
  const { nextToken }: { readonly nextToken?: string } = JSON.parse(page)
  if (nextToken === undefined) throw new Error('a list of waiting calls ended with its first page')
  return nextToken
}

async function timed(action: () => Promise<unknown>): Promise<number> {
  const startedAtMs = performance.now()
  await action()
  return performance.now() - startedAtMs
}

function isFigure(name: string): name is WaitingFigure {
  return Object.hasOwn(waitingFigures, name)
}
