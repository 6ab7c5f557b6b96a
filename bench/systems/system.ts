import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import type { Target } from '../load.ts'
import type { Child } from '../process.ts'
import type { Workload } from '../workloads.ts'

/** A row of the table. Two rows may share one server. */
export type SystemName = 'plain' | 'functions-framework' | 'workerd' | 'anvoke' | 'anvoke-16'

/** A started server. */
export interface RunningServer {
  readonly child: Child
  /** From spawn to the first right answer of the server. */
  readonly readyMs: number
  /** Deploys what the rows need; nothing to do for servers that carry their handlers. */
  prepare(): Promise<void>
  /** Where a row's requests go. Headers are fresh and stay valid for at least ten minutes. */
  target(system: SystemName, workload: Workload): Target
}

/** One measured server program and the rows it serves. */
export interface Server {
  readonly name: string
  readonly systems: readonly SystemName[]
  /** Starts it on a free loopback port and waits until it is ready; throws with its last words if it ends before. */
  start(signal: AbortSignal): Promise<RunningServer>
}

const readyDeadlineMs = 30_000

/** Asks every 2 ms until the server answers 200; returns the time since the spawn. */
export async function waitUntilReady(
  child: Child,
  request: { readonly url: string; readonly method: string; readonly body?: string },
  signal: AbortSignal,
): Promise<number> {
  const { url, ...init } = request
  while (performance.now() - child.spawnedAtMs < readyDeadlineMs) {
    signal.throwIfAborted()
    if (child.ending !== undefined)
      throw new Error(`${child.name} ${child.ending}: ${child.stderrTail.trim()}`)
    try {
      const response = await fetch(url, { ...init, signal: AbortSignal.timeout(5_000) })
      await response.arrayBuffer()
      if (response.status === 200) return performance.now() - child.spawnedAtMs
    } catch {
      // Not listening yet.
    }
    await delay(2)
  }
  throw new Error(`${child.name} was not ready after ${readyDeadlineMs / 1000} s: ${child.stderrTail.trim()}`)
}

/** A server whose handlers are chosen by the path alone: all but Anvoke. */
export async function startBaseline(child: Child, port: number, signal: AbortSignal): Promise<RunningServer> {
  const origin = `http://127.0.0.1:${port}`
  // There is no health path: the first right answer is a call of the function.
  const probe = { url: `${origin}/hello`, method: 'POST', body: '{"name":"world"}' }
  const readyMs = await waitUntilReady(child, probe, signal)
  return {
    child,
    readyMs,
    prepare: async () => {},
    target: (_, workload) => ({ url: `${origin}/${workload.function}`, headers: {} }),
  }
}
