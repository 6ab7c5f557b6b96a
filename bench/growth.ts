import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { runLoad } from './load.ts'
import { readMemory, type Memory } from './observation.ts'
import type { Plan } from './plan.ts'
import type { RunningAnvoke } from './systems/anvoke.ts'
import type { Workload } from './workloads.ts'

const connections = 16
const settleMs = 500

/** Room for what a garbage collector leaves lying around; over 80 000 calls it hides at most 105 bytes a call. */
export const toleranceMib = 8

/** Memory of the server process while it answers a hundred thousand calls. */
export interface Growth {
  readonly samples: readonly (Memory & { readonly calls: number })[]
  /** RSS at the end less RSS at the base, in MiB; undefined when there were too few calls to judge. */
  readonly grownMib: number | undefined
  readonly bytesPerCall: number | undefined
  /** The first thing that went wrong under this load. */
  readonly firstError: string | undefined
}

/** Loads "hello" and reads the server's memory half a second after each run, when it is idle. */
export async function measureGrowth(
  anvoke: RunningAnvoke,
  hello: Workload,
  plan: Plan,
  signal: AbortSignal,
): Promise<Growth> {
  const samples: (Memory & { calls: number })[] = []
  const deadlineMs = performance.now() + plan.growthSeconds * 1000
  let calls = 0
  let firstError: string | undefined
  while (calls < plan.growthCalls.to && performance.now() < deadlineMs && firstError === undefined) {
    const target = anvoke.target('anvoke', hello)
    const result = await runLoad(target, hello, { connections, durationSeconds: 1, signal })
    calls += result.requests
    firstError = result.firstError
    await delay(settleMs, undefined, { signal })
    samples.push({ calls, ...readMemory(anvoke.child.pid) })
  }
  const base = samples.find((sample) => sample.calls >= plan.growthCalls.from)
  const end = samples.find((sample) => sample.calls >= plan.growthCalls.to)
  if (base === undefined || end === undefined || base === end) {
    return { samples, grownMib: undefined, bytesPerCall: undefined, firstError }
  }
  const grownMib = end.rssMib - base.rssMib
  return { samples, grownMib, bytesPerCall: (grownMib * 1024 * 1024) / (end.calls - base.calls), firstError }
}
