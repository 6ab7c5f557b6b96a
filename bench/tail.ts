import { execFile } from 'node:child_process'
import { performance } from 'node:perf_hooks'
import { promisify } from 'node:util'
import { runLoad } from './load.ts'
import { allowedCpus, readMachineTime, readScheduling } from './observation.ts'
import type { Plan } from './plan.ts'
import { processTree } from './process.ts'
import { median } from './statistics.ts'
import type { SystemName } from './systems/system.ts'
import type { Contestant } from './throughput.ts'
import type { Workload } from './workloads.ts'

const run = promisify(execFile)
const connections = 16

/** Evidence about the slowest hundredth of the calls of one system ("hello", 16 connections). */
export interface Tail {
  readonly system: SystemName
  readonly p50Ms: number
  readonly p99Ms: number
  /** p99 with wrk alone on the last CPU and the server's whole tree on the others; undefined on one CPU. */
  readonly separatedP99Ms: number | undefined
  readonly separatedRequestsPerSecond: number | undefined
  readonly requestsPerSecond: number
  /** Share (0..1) of the time in which a thread of the server wanted to run that it spent waiting for a CPU. */
  readonly waitShare: number
  /** CPUs' worth of work that the server's tree did (1 = one CPU fully busy). */
  readonly busyCpus: number
  readonly involuntarySwitchesPerSecond: number
  /** CPUs' worth of work of processes that belong neither to the server nor to this benchmark. */
  readonly otherCpus: number
  /** CPUs' worth of time that the hypervisor gave to other machines. */
  readonly stolenCpus: number
  /** Processes that were not there before the first run. */
  readonly startedProcesses: number
  readonly processes: number
  /** One sentence computed from the figures above. */
  readonly cause: string
}

/** Runs "hello" free and with separated CPUs, alternating; reads the scheduler's accounts around the free runs. */
export async function measureTail(
  contestant: Contestant,
  hello: Workload,
  plan: Plan,
  signal: AbortSignal,
): Promise<Tail> {
  const { system, server } = contestant
  const cpus = allowedCpus()
  const wrkCpu = cpus.at(-1)
  const serverCpus = cpus.slice(0, -1)
  const free = { p50Ms: [] as number[], p99Ms: [] as number[], requestsPerSecond: [] as number[] }
  const separated = { p99Ms: [] as number[], requestsPerSecond: [] as number[] }
  const sums = { cpuMs: 0, waitMs: 0, switches: 0, otherMs: 0, stolenMs: 0, elapsedMs: 0 }
  const before = new Set(processTree(server.child.pid).map((member) => member.pid))
  const started = new Set<number>()

  for (let round = 0; round < plan.tailRounds; round += 1) {
    const first = readScheduling(server.child.pid)
    const machineFirst = readMachineTime()
    const startedAtMs = performance.now()
    const result = await load()
    sums.elapsedMs += performance.now() - startedAtMs
    const machineLast = readMachineTime()
    const last = readScheduling(server.child.pid)
    free.p50Ms.push(result.p50Ms)
    free.p99Ms.push(result.p99Ms)
    free.requestsPerSecond.push(result.requestsPerSecond)
    // A process that ended meanwhile took its accounts with it: hence no less than zero.
    const cpuMs = Math.max(0, last.cpuMs - first.cpuMs)
    sums.cpuMs += cpuMs
    sums.otherMs += Math.max(
      0,
      machineLast.busyMs - machineFirst.busyMs - (machineLast.ownMs - machineFirst.ownMs) - cpuMs,
    )
    sums.stolenMs += machineLast.stolenMs - machineFirst.stolenMs
    sums.waitMs += Math.max(0, last.waitMs - first.waitMs)
    sums.switches += Math.max(0, last.involuntarySwitches - first.involuntarySwitches)
    for (const pid of last.pids) if (!before.has(pid)) started.add(pid)

    if (wrkCpu === undefined || serverCpus.length === 0) continue
    await pin(serverCpus)
    try {
      const apart = await load(wrkCpu)
      separated.p99Ms.push(apart.p99Ms)
      separated.requestsPerSecond.push(apart.requestsPerSecond)
    } finally {
      await pin(cpus)
    }
  }

  const evidence = {
    system,
    p50Ms: median(free.p50Ms),
    p99Ms: median(free.p99Ms),
    requestsPerSecond: median(free.requestsPerSecond),
    separatedP99Ms: separated.p99Ms.length === 0 ? undefined : median(separated.p99Ms),
    separatedRequestsPerSecond:
      separated.p99Ms.length === 0 ? undefined : median(separated.requestsPerSecond),
    waitShare: sums.waitMs / (sums.waitMs + sums.cpuMs),
    busyCpus: sums.cpuMs / sums.elapsedMs,
    involuntarySwitchesPerSecond: sums.switches / (sums.elapsedMs / 1000),
    otherCpus: sums.otherMs / sums.elapsedMs,
    stolenCpus: sums.stolenMs / sums.elapsedMs,
    startedProcesses: started.size,
    processes: before.size,
  }
  return { ...evidence, cause: explain(evidence, cpus.length) }

  async function load(cpu?: number) {
    const result = await runLoad(server.target(system, hello), hello, {
      connections,
      durationSeconds: plan.runSeconds,
      signal,
      ...(cpu === undefined ? {} : { cpu }),
    })
    if (result.firstError !== undefined) throw new Error(`${system} failed under load: ${result.firstError}`)
    return result
  }

  async function pin(list: readonly number[]) {
    // Threads and processes born later inherit it. One that ends meanwhile makes taskset fail: no harm.
    for (const member of processTree(server.child.pid)) {
      await run('taskset', ['-acp', list.join(','), String(member.pid)]).catch(() => {})
    }
  }
}

/** Turns evidence into a sentence; README.md says why the thresholds are what they are. */
export function explain(evidence: Omit<Tail, 'cause'>, cpuCount: number): string {
  const { p50Ms, p99Ms, separatedP99Ms, waitShare, startedProcesses, otherCpus, stolenCpus } = evidence
  const facts = [
    `the server's threads spent ${percent(waitShare)} of their runnable time waiting for one of ${cpuCount} CPUs ` +
      `(${evidence.busyCpus.toFixed(2)} CPUs busy, ${Math.round(evidence.involuntarySwitchesPerSecond)} ` +
      `involuntary switches/s, ${evidence.processes} processes)`,
    ...(separatedP99Ms === undefined
      ? []
      : [
          `with wrk on a CPU of its own p99 is ${milliseconds(separatedP99Ms)} instead of ${milliseconds(p99Ms)}`,
        ]),
    ...(otherCpus < 0.1 ? [] : [`unrelated processes used ${otherCpus.toFixed(2)} CPUs`]),
    ...(stolenCpus < 0.05 ? [] : [`the hypervisor took ${stolenCpus.toFixed(2)} CPUs`]),
  ].join('; ')
  return `${verdict()}: ${facts}.`

  function verdict(): string {
    if (p99Ms <= 4 * p50Ms) return `No tail to explain, p99 is ${(p99Ms / p50Ms).toFixed(1)} × p50`
    if (otherCpus + stolenCpus >= 0.25) return 'The machine was not quiet, so nothing can be concluded'
    if (startedProcesses > 0) return `In part the start of ${startedProcesses} processes during the runs`
    if (separatedP99Ms !== undefined && separatedP99Ms <= 0.6 * p99Ms) {
      return 'Scheduling: the load generator and the server compete for the same CPUs'
    }
    if (waitShare >= 0.2) return 'Scheduling: more threads were ready to run than there are CPUs'
    return 'Not scheduling, so time spent inside the server (garbage collection, queueing)'
  }
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

function milliseconds(ms: number): string {
  return `${ms.toPrecision(2)} ms`
}
