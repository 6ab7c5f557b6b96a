import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { RunningAnvoke } from '../systems/anvoke.ts'
import { contentType } from '../workloads.ts'
import { AS_TASK, askForTasks, type ShownTask } from './calls.ts'

/** The function bench/functions/clock, which answers when it was called. */
export const CLOCK = 'clock'

/** Before the first look at a task: a look while it starts would be work for the server that is measured. */
const UNSEEN_MS = 15
const LOOK_MS = 2
const DEADLINE_MS = 30_000

/** One call, in ms. The clock is CLOCK_MONOTONIC, which this process and the function's share. */
export interface Start {
  /** From the 202, as its caller sees it, to the first line of the function; below 0 when the function was faster than the answer. */
  readonly acceptedToBegunMs: number
  /** From the request to the first line of the function: acceptance included, so no less than what any caller can see. */
  readonly sentToBegunMs: number
  /** By the server's own records, whole ms: from the moment it had the request, before it was durable, to its start. */
  readonly recordedMs: number
}

/** From a synchronous request to the first line of the function, ms. */
export async function measureSyncStart(server: RunningAnvoke, signal: AbortSignal): Promise<number> {
  const headers = server.client.invokeHeaders(server.service, CLOCK)
  const sentNs = process.hrtime.bigint()
  const response = await fetch(server.client.invokeUrl(server.service, CLOCK), {
    method: 'POST',
    headers,
    body: '{}',
    signal,
  })
  return ms(BigInt(await response.text()) - sentNs)
}

/** One asynchronous call, alone, from its request to its end. */
export async function measureStart(server: RunningAnvoke, signal: AbortSignal): Promise<Start> {
  const { client, service } = server
  const id = `call-${randomUUID()}`
  const headers = client.invokeHeaders(service, CLOCK, 'Async', {
    ...AS_TASK,
    'x-fc-stateful-async-invocation-id': id,
  })
  const request = { method: 'POST', headers: { 'Content-Type': contentType, ...headers }, body: '{}', signal }
  const sentNs = process.hrtime.bigint()
  const response = await fetch(client.invokeUrl(service, CLOCK), request)
  const acceptedNs = process.hrtime.bigint()
  const answer = await response.text()
  if (response.status !== 202) throw new Error(`a call was answered with ${response.status} ${answer}`)
  const task = await untilEnded(server, id, signal)
  const begunNs = BigInt(task.returnPayload ?? '')
  const at = (status: string) => task.events.find((event) => event.status === status)?.timestamp ?? Number.NaN
  return {
    acceptedToBegunMs: ms(begunNs - acceptedNs),
    sentToBegunMs: ms(begunNs - sentNs),
    recordedMs: at('Running') - at('Enqueued'),
  }
}

async function untilEnded(server: RunningAnvoke, id: string, signal: AbortSignal): Promise<ShownTask> {
  const deadlineMs = performance.now() + DEADLINE_MS
  await delay(UNSEEN_MS, undefined, { signal })
  while (performance.now() < deadlineMs) {
    const task: ShownTask = JSON.parse(await askForTasks(server, CLOCK, `/${id}`, signal))
    if (task.status === 'Succeeded') return task
    if (task.status !== 'Enqueued' && task.status !== 'Running')
      throw new Error(`a call of ${CLOCK} came to be ${task.status}`)
    await delay(LOOK_MS, undefined, { signal })
  }
  throw new Error(`a call of ${CLOCK} has not ended after ${DEADLINE_MS / 1000} s`)
}

function ms(nanoseconds: bigint): number {
  return Number(nanoseconds) / 1e6
}
