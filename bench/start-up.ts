import { execFile } from 'node:child_process'
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Plan } from './plan.ts'
import { cleanEnvironment, stopCleanly } from './process.ts'
import { spread, type Spread } from './statistics.ts'
import { functionSource, type RunningAnvoke } from './systems/anvoke.ts'
import type { Server } from './systems/system.ts'
import type { Workload } from './workloads.ts'

const run = promisify(execFile)

/** How long a platform may idle between two cold starts, so that it can refill what it keeps ready. */
const restMs = 250

/** First call of a function that never ran, against the start of a bare Node process, both in milliseconds. */
export interface ColdStart {
  readonly rounds: number
  readonly firstCallMs: Spread
  readonly bareNodeMs: Spread
  /** Round by round. */
  readonly ratio: Spread
}

/**
 * Starts and stops every server in turn, several times; times from spawn to the first right answer, in ms.
 * A server that fails is reported in `problems`, left out of later rounds and absent from the answer.
 */
export async function measureReadyTimes(
  servers: readonly Server[],
  plan: Plan,
  signal: AbortSignal,
  problems: string[],
): Promise<Readonly<Record<string, Spread>>> {
  const times = new Map<string, number[]>(servers.map((server) => [server.name, []]))
  for (let round = 0; round < plan.readyRounds; round += 1) {
    for (const server of servers) {
      const measured = times.get(server.name)
      if (measured === undefined) continue
      try {
        const { child, readyMs } = await server.start(signal)
        measured.push(readyMs)
        await stopCleanly(child, problems)
      } catch (error) {
        signal.throwIfAborted()
        problems.push(`start of ${server.name}: ${error instanceof Error ? error.message : String(error)}`)
        times.delete(server.name)
      }
    }
  }
  return Object.fromEntries([...times].map(([name, values]) => [name, spread(values)]))
}

/** Deploys a new function per round and times its first call; `node -e 0` runs in the same rounds. */
export async function measureColdStart(
  anvoke: RunningAnvoke,
  hello: Workload,
  plan: Plan,
  signal: AbortSignal,
): Promise<ColdStart> {
  const { client, service } = anvoke
  const firstCallsMs: number[] = []
  const bareNodesMs: number[] = []
  for (let round = 0; round < plan.coldStartRounds; round += 1) {
    const functionName = `cold-${round}`
    // A different source each time: nothing that is kept per package can have been prepared by an earlier round.
    const source = `${functionSource('hello')}// ${functionName}\n`
    await client.createFunction(service, { functionName, source })
    await delay(restMs, undefined, { signal })
    firstCallsMs.push(
      await time(async () => {
        const answer = await client.invoke(service, functionName, hello.body)
        if (!answer.equals(hello.expected)) throw new Error(`${functionName} answered ${answer.toString()}`)
      }),
    )
    await client.deleteFunction(service, functionName)
    await delay(restMs, undefined, { signal })
    bareNodesMs.push(await time(() => run(process.execPath, ['-e', '0'], { env: cleanEnvironment() })))
  }
  return {
    rounds: firstCallsMs.length,
    firstCallMs: spread(firstCallsMs),
    bareNodeMs: spread(bareNodesMs),
    ratio: spread(firstCallsMs.map((ms, index) => ms / (bareNodesMs[index] ?? Number.NaN))),
  }
}

async function time(action: () => Promise<unknown>): Promise<number> {
  const startedAtMs = performance.now()
  await action()
  return performance.now() - startedAtMs
}
