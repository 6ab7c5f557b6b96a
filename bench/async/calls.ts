import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { signTc3 } from '../entrances.ts'
import { sign } from '../fc.ts'
import type { Load, Target } from '../load.ts'
import type { RunningAnvoke } from '../systems/anvoke.ts'
import type { Workload } from '../workloads.ts'

/** The longest delay of the API, seconds: calls that do not run while they are measured. */
const LONGEST_DELAY_S = '3599'
/** Between two looks at whether everything has ended. */
const LOOK_MS = 5
/** All that was accepted must have ended by then. */
const END_DEADLINE_MS = 60_000

/** Headers that make a call a task: it can be looked at by its id, and its result is kept. */
export const AS_TASK = { 'x-fc-stateful-async-invocation-enable': 'true' }

/** The load of a workload whose only right answer is that the call was accepted. */
export function acceptedLoad(workload: Workload, directory: string): Load {
  const expectedFile = join(directory, 'empty.response')
  writeFileSync(expectedFile, '')
  return { bodyFile: workload.bodyFile, expectedFile, expectedStatus: 202 }
}

/** Where asynchronous calls of a function go; `delayed` ones wait an hour before they run. */
export function asyncTarget(server: RunningAnvoke, functionName: string, isDelayed: boolean): Target {
  const { client, service } = server
  const extra = isDelayed ? { 'x-fc-async-delay': LONGEST_DELAY_S } : {}
  return {
    url: client.invokeUrl(service, functionName),
    headers: client.invokeHeaders(service, functionName, 'Async', extra),
  }
}

interface Answer {
  readonly Response: { readonly TotalCount?: number; readonly Error?: { readonly Message: string } }
}

/** States of asynchronous calls as the API names them that lists them however they came in; RUNNING are those that wait, too. */
type State = 'RUNNING' | 'FINISHED'

/** How many asynchronous calls of a function the server knows, in one state or in any. */
export async function countCalls(
  server: RunningAnvoke,
  functionName: string,
  signal: AbortSignal,
  state?: State,
): Promise<number> {
  const body = JSON.stringify({
    Namespace: server.service,
    FunctionName: functionName,
    Limit: 1,
    ...(state === undefined ? {} : { Status: [state] }),
  })
  const headers = signTc3(server.credentials, new URL(server.origin).host, 'ListAsyncEvents', body)
  const response = await fetch(`${server.origin}/`, { method: 'POST', headers, body, signal })
  const { Response }: Answer = JSON.parse(await response.text())
  if (Response.TotalCount === undefined)
    throw new Error(`asynchronous calls of ${functionName}: ${Response.Error?.Message ?? response.status}`)
  return Response.TotalCount
}

/** Resolves when no call of the function waits or runs. */
export async function untilEnded(
  server: RunningAnvoke,
  functionName: string,
  signal: AbortSignal,
): Promise<void> {
  const deadlineMs = performance.now() + END_DEADLINE_MS
  while ((await countCalls(server, functionName, signal, 'RUNNING')) > 0) {
    if (performance.now() > deadlineMs)
      throw new Error(`calls of ${functionName} have not ended after ${END_DEADLINE_MS / 1000} s`)
    await delay(LOOK_MS, undefined, { signal })
  }
}

/** A task as the API shows it: the members that are read here. */
export interface ShownTask {
  readonly status: string
  readonly returnPayload?: string
  readonly events: readonly { readonly status: string; readonly timestamp: number }[]
}

/** Asks for something of a function's asynchronous calls; `path` follows that of the function's tasks, the query included. */
export async function askForTasks(
  server: RunningAnvoke,
  functionName: string,
  path: string,
  signal: AbortSignal,
): Promise<string> {
  const all = `/2016-08-15/services/${server.service}/functions/${functionName}/stateful-async-invocations${path}`
  const [signed = ''] = all.split('?', 1)
  const headers = sign(server.credentials, {
    method: 'GET',
    path: signed,
    contentType: 'application/json',
  })
  const response = await fetch(server.origin + all, { headers, signal })
  const text = await response.text()
  if (response.status !== 200) throw new Error(`GET ${all}: ${response.status} ${text.slice(0, 500)}`)
  return text
}
