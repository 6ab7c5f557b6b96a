import { performance } from 'node:perf_hooks'
import { collectGarbage, openInspector } from './garbage.ts'
import { runLoad } from './load.ts'
import { readMemory, type Memory } from './observation.ts'
import type { Plan } from './plan.ts'
import type { RunningAnvoke } from './systems/anvoke.ts'
import type { Workload } from './workloads.ts'

const connections = 16
const mib = 1024 * 1024

/** What counts as no growth over 80 000 calls: a leak of 27 bytes a call in the heap, or 105 anywhere, shows. */
export const toleratedMib = { live: 2, rss: 8 } as const

/** Memory of the server process after so many calls, read right after a full garbage collection. */
export interface GrowthSample extends Memory {
  readonly calls: number
  /** JavaScript heap and buffers in use by the server's main thread. */
  readonly liveMib: number
}

/** Memory of the server process while it answers a hundred thousand calls. */
export interface Growth {
  readonly samples: readonly GrowthSample[]
  /** From the first sample past the base to the first past the end; undefined when there were too few calls. */
  readonly grown: { readonly liveMib: number; readonly rssMib: number; readonly calls: number } | undefined
  /** The first thing that went wrong under this load. */
  readonly firstError: string | undefined
}

/** Loads "hello" and reads the server's memory after each run. The server must have been started inspectable. */
export async function measureGrowth(
  anvoke: RunningAnvoke,
  hello: Workload,
  plan: Plan,
  signal: AbortSignal,
): Promise<Growth> {
  const { child } = anvoke
  const inspectorUrl = await openInspector(child, signal)
  const samples: GrowthSample[] = []
  const deadlineMs = performance.now() + plan.growthSeconds * 1000
  let calls = 0
  let firstError: string | undefined
  while (calls < plan.growthCalls.to && performance.now() < deadlineMs && firstError === undefined) {
    const target = anvoke.target('anvoke', hello)
    const result = await runLoad(target, hello, { connections, durationSeconds: 1, signal })
    calls += result.requests
    firstError = result.firstError
    const liveMib = (await collectGarbage(inspectorUrl, signal)) / mib
    samples.push({ calls, liveMib, ...readMemory(child.pid) })
  }
  const base = samples.find((sample) => sample.calls >= plan.growthCalls.from)
  const end = samples.find((sample) => sample.calls >= plan.growthCalls.to)
  if (base === undefined || end === undefined || base === end)
    return { samples, grown: undefined, firstError }
  const grown = {
    liveMib: end.liveMib - base.liveMib,
    rssMib: end.rssMib - base.rssMib,
    calls: end.calls - base.calls,
  }
  return { samples, grown, firstError }
}
