import { mkdtempSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { measureGrowth } from './growth.ts'
import { describeMachine } from './machine.ts'
import { readMemory, type Memory } from './observation.ts'
import type { Plan } from './plan.ts'
import { stopCleanly } from './process.ts'
import { attempts } from './program.ts'
import type { Results } from './results.ts'
import { measureColdStart, measureReadyTimes } from './start-up.ts'
import { createAnvoke, type AnvokeServer } from './systems/anvoke.ts'
import { functionsFramework } from './systems/functions-framework.ts'
import { plain } from './systems/plain.ts'
import type { RunningServer, Server, SystemName } from './systems/system.ts'
import { workerd } from './systems/workerd.ts'
import { measureTail, type Tail } from './tail.ts'
import { judge } from './targets.ts'
import { measureThroughput, type Contestant } from './throughput.ts'
import { createWorkloads } from './workloads.ts'

/** Servers that can be measured, in the order of the table. */
export const serverNames = ['plain', 'functions-framework', 'workerd', 'anvoke'] as const
const tailSystems: ReadonlySet<SystemName> = new Set(['plain', 'anvoke', 'anvoke-16'])

/** Between readiness and the reading of idle memory: what a server prepares after its start belongs to it. */
const settleMs = 1_000

/** One run of the benchmark. */
export interface RunOptions {
  readonly plan: Plan
  /** Which of {@link serverNames} to measure. */
  readonly servers: readonly string[]
  /** An existing directory for payloads and data; the caller removes it. */
  readonly directory: string
  readonly signal: AbortSignal
  /** Receives one line per phase. */
  readonly progress: (text: string) => void
}

/**
 * Runs all phases. A phase that fails becomes an entry of `problems` and the others still run; rejects only when
 * nothing can be measured or the signal aborts. Servers may still run when it rejects: call `stopAll`.
 */
export async function measure(options: RunOptions): Promise<Results> {
  const { plan, directory, signal, progress } = options
  const startedAt = new Date()
  const machine = describeMachine()
  if (machine.loadAverage > 0.5)
    progress(`the machine is busy: load average ${machine.loadAverage.toFixed(2)}`)
  const problems: string[] = []
  const attempt = attempts({ signal, progress, problems })
  const workloads = createWorkloads(directory)
  const [hello] = workloads
  const anvoke: AnvokeServer = createAnvoke(mkdtempSync(`${directory}/anvoke-`))
  const wanted = [plain, functionsFramework, workerd, anvoke].filter(({ name }) =>
    options.servers.includes(name),
  )

  progress('time until ready')
  const readyMs = await measureReadyTimes(wanted, plan, signal, problems)
  const usable = wanted.filter(({ name }) => readyMs[name] !== undefined)

  const idle = new Map<string, Memory>()
  const loaded = new Map<string, Memory>()
  const tails: Tail[] = []
  const servers: [Server, RunningServer][] = []
  const contestants: Contestant[] = []
  for (const server of usable) {
    await attempt(`starting ${server.name}`, async () => {
      const running = await server.start(signal)
      servers.push([server, running])
      await delay(settleMs, undefined, { signal })
      idle.set(server.name, readMemory(running.child.pid))
      await running.prepare()
      contestants.push(...server.systems.map((system) => ({ system, server: running })))
    })
  }
  const measured = await attempt('throughput', () =>
    measureThroughput(contestants, workloads, plan, signal, progress),
  )
  const cells = measured ?? []
  for (const cell of cells) {
    if (!cell.valid)
      problems.push(`${cell.system}, ${cell.workload}, ${cell.connections} connections: ${cell.firstError}`)
  }
  for (const [server, running] of servers) loaded.set(server.name, readMemory(running.child.pid))
  for (const contestant of contestants) {
    if (!tailSystems.has(contestant.system)) continue
    const tail = await attempt(`p99 of ${contestant.system}`, () =>
      measureTail(contestant, hello, plan, signal),
    )
    if (tail !== undefined) tails.push(tail)
  }
  for (const [, running] of servers) await stopCleanly(running.child, problems)

  // A server that was never loaded, and alone on the machine: what it needs for a first call is its own doing.
  const fresh = usable.includes(anvoke) ? await attempt('starting anvoke afresh', startFresh) : undefined
  const coldStart =
    fresh && (await attempt('first calls', () => measureColdStart(fresh, hello, plan, signal)))
  const growth = fresh && (await attempt('memory growth', () => measureGrowth(fresh, hello, plan, signal)))
  if (growth?.firstError !== undefined) problems.push(`memory growth: ${growth.firstError}`)
  if (fresh !== undefined) await stopCleanly(fresh.child, problems)

  return {
    startedAt: startedAt.toISOString(),
    elapsedSeconds: (Date.now() - startedAt.getTime()) / 1000,
    plan,
    machine,
    cells,
    readyMs,
    memory: Object.fromEntries(
      [...idle].map(([name, memory]) => [name, { idle: memory, loaded: loaded.get(name) }]),
    ),
    coldStart,
    growth,
    tails,
    targets: judge(cells, readyMs, growth),
    problems,
  }

  async function startFresh() {
    const running = await anvoke.start(signal, { inspected: true })
    await running.prepare()
    return running
  }
}
