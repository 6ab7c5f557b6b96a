import type { LoadResult } from './load.ts'
import { runLoad } from './load.ts'
import { connectionCounts, type Plan } from './plan.ts'
import { spread, type Spread } from './statistics.ts'
import type { RunningServer, SystemName } from './systems/system.ts'
import type { Workload } from './workloads.ts'

/** A system that can be loaded now. */
export interface Contestant {
  readonly system: SystemName
  readonly server: RunningServer
}

/** One row of the table: a system under one workload at one number of connections, over all rounds. */
export interface Cell {
  readonly workload: Workload['name']
  readonly connections: number
  readonly system: SystemName
  /** False when any call of any round failed: the figures then stand for something else. */
  readonly valid: boolean
  readonly errors: number
  readonly firstError: string | undefined
  readonly requestsPerSecond: Spread
  readonly p50Ms: Spread
  readonly p99Ms: Spread
  /** One entry per round, in order: what ratios between systems are computed from. */
  readonly rounds: readonly LoadResult[]
}

/**
 * Loads every system with every workload, round-robin: within a round all systems take the same workload one
 * after the other, and the order shifts by one every round, so that drift of the machine hits all alike.
 */
export async function measureThroughput(
  contestants: readonly Contestant[],
  workloads: readonly Workload[],
  plan: Plan,
  signal: AbortSignal,
  progress: (text: string) => void,
): Promise<readonly Cell[]> {
  const rounds = new Map<string, LoadResult[]>()
  for (const { system, server } of contestants) {
    progress(`warming up ${system}`)
    for (const workload of workloads) await load(system, server, workload, 16)
  }
  for (let round = 0; round < plan.throughputRounds; round += 1) {
    progress(`round ${round + 1} of ${plan.throughputRounds}`)
    for (const workload of workloads) {
      for (const connections of connectionCounts) {
        for (let turn = 0; turn < contestants.length; turn += 1) {
          const contestant = contestants[(turn + round) % contestants.length]
          if (contestant === undefined) continue
          const { system, server } = contestant
          const result = await load(system, server, workload, connections)
          const key = `${workload.name}/${connections}/${system}`
          rounds.set(key, [...(rounds.get(key) ?? []), result])
        }
      }
    }
  }
  return workloads.flatMap((workload) =>
    connectionCounts.flatMap((connections) =>
      contestants.map(({ system }) =>
        toCell(
          workload.name,
          connections,
          system,
          rounds.get(`${workload.name}/${connections}/${system}`) ?? [],
        ),
      ),
    ),
  )

  async function load(system: SystemName, server: RunningServer, workload: Workload, connections: number) {
    const options = { connections, durationSeconds: plan.runSeconds, signal }
    return await runLoad(server.target(system, workload), workload, options)
  }
}

function toCell(
  workload: Workload['name'],
  connections: number,
  system: SystemName,
  rounds: readonly LoadResult[],
): Cell {
  const errors = rounds.reduce((sum, round) => sum + round.errors, 0)
  return {
    workload,
    connections,
    system,
    valid: errors === 0 && rounds.length > 0,
    errors,
    firstError: rounds.find((round) => round.firstError !== undefined)?.firstError,
    requestsPerSecond: spread(rounds.map((round) => round.requestsPerSecond)),
    p50Ms: spread(rounds.map((round) => round.p50Ms)),
    p99Ms: spread(rounds.map((round) => round.p99Ms)),
    rounds,
  }
}

/** The figures of one system divided by those of another, round by round; undefined when a row is missing or invalid. */
export function ratio(
  cells: readonly Cell[],
  row: { readonly workload: Workload['name']; readonly connections: number },
  system: SystemName,
  base: SystemName,
  figure: 'requestsPerSecond' | 'p50Ms' = 'requestsPerSecond',
): Spread | undefined {
  const find = (name: SystemName) =>
    cells.find(
      (cell) =>
        cell.system === name && cell.workload === row.workload && cell.connections === row.connections,
    )
  const [top, bottom] = [find(system), find(base)]
  if (top?.valid !== true || bottom?.valid !== true) return undefined
  return spread(
    top.rounds.map((round, index) => round[figure] / (bottom.rounds[index]?.[figure] ?? Number.NaN)),
  )
}
