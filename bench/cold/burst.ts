import { performance } from 'node:perf_hooks'
import { contentType, type Workload } from '../workloads.ts'
import { processTree } from '../process.ts'
import { spread, type Spread } from '../statistics.ts'
import type { RunningAnvoke } from '../systems/anvoke.ts'
import { deploy, settle, type Language } from './stage.ts'

/** Calls of a function that never ran, all at once. */
export interface Burst {
  readonly language: string
  readonly calls: number
  readonly rounds: number
  /** Right answers of all rounds; `calls` × `rounds` when none failed. */
  readonly answered: number
  readonly firstError: string | undefined
  /** From the first request to the last answer. */
  readonly totalMs: Spread
  readonly slowestTenthMs: Spread
  /** Instances that answered. */
  readonly instances: Spread
  /** Processes that the server started itself and that run after it, those that replace what was started ahead included. */
  readonly processesStarted: Spread
}

/** Calls a new function many times at once, in several rounds. */
export async function measureBurst(
  server: RunningAnvoke,
  language: Language,
  hello: Workload,
  plan: { readonly calls: number; readonly rounds: number },
  signal: AbortSignal,
): Promise<Burst> {
  const { pid } = server.child
  const totals: number[] = []
  const slowest: number[] = []
  const instances: number[] = []
  const started: number[] = []
  let answered = 0
  let firstError: string | undefined
  for (let round = 0; round < plan.rounds; round += 1) {
    const functionName = `burst-${language.runtime}-${round}`
    await deploy(server, language, functionName)
    await settle(server, signal)
    const before = new Set(childrenOf(pid))
    const startedAtMs = performance.now()
    const answers = await Promise.all(
      Array.from({ length: plan.calls }, () => call(server, functionName, hello, signal)),
    )
    totals.push(performance.now() - startedAtMs)
    slowest.push(
      answers.map(({ ms }) => ms).sort((a, b) => a - b)[Math.floor(plan.calls * 0.9)] ?? Number.NaN,
    )
    answered += answers.filter(({ error }) => error === undefined).length
    firstError ??= answers.find(({ error }) => error !== undefined)?.error
    instances.push(new Set(answers.map(({ instance }) => instance).filter((id) => id !== null)).size)
    await settle(server, signal)
    started.push(childrenOf(pid).filter((child) => !before.has(child)).length)
    await server.client.deleteFunction(server.service, functionName)
  }
  return {
    language: language.name,
    ...plan,
    answered,
    firstError,
    totalMs: spread(totals),
    slowestTenthMs: spread(slowest),
    instances: spread(instances),
    processesStarted: spread(started),
  }
}

interface Answer {
  readonly ms: number
  readonly instance: string | null
  readonly error?: string
}

async function call(
  { client, service }: RunningAnvoke,
  functionName: string,
  hello: Workload,
  signal: AbortSignal,
): Promise<Answer> {
  const startedAtMs = performance.now()
  const headers = { 'Content-Type': contentType, ...client.invokeHeaders(service, functionName) }
  try {
    const url = client.invokeUrl(service, functionName)
    const response = await fetch(url, { method: 'POST', headers, body: hello.body, signal })
    const body = Buffer.from(await response.arrayBuffer())
    const answer = { ms: performance.now() - startedAtMs, instance: response.headers.get('x-fc-instance-id') }
    if (body.equals(hello.expected)) return answer
    return { ...answer, error: `${response.status}: ${body.toString('utf8', 0, 300)}` }
  } catch (error) {
    signal.throwIfAborted()
    return {
      ms: performance.now() - startedAtMs,
      instance: null,
      error: error instanceof Error ? error.message : String(error),
    }
  }
}

function childrenOf(pid: number): readonly number[] {
  return processTree(pid)
    .filter(({ parentPid }) => parentPid === pid)
    .map((member) => member.pid)
}
