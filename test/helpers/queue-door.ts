import type { DeliveryView, Page, QueueView } from '../../src/control/api.ts'
import { ControlClient, type Question } from '../../src/control/client.ts'
import type { TestServer } from './server.ts'

type Place = Pick<TestServer, 'dataDir'>

/** What an administrator sets for the queue of a function; null unsets. */
export function setQueue(
  server: Place,
  [namespace, name]: readonly [namespace: string, name: string],
  change: { readonly isPaused?: boolean; readonly maxTasks?: number | null },
): Promise<object> {
  return ask(server, { method: 'PATCH', path: ['queues', namespace, name], body: change })
}

/** The queue of a function as it is now. */
export function queueOf(
  server: Place,
  [namespace, name]: readonly [namespace: string, name: string],
): Promise<QueueView> {
  return ask<QueueView>(server, { path: ['queues', namespace, name] })
}

/** A telling that was given up, with what would have been told as JSON has it. */
type Untold = DeliveryView & { readonly told: unknown }

/** The tellings of a function's endings that were given up, the newest first. */
export async function undeliverableOf(
  server: Place,
  [namespace, name]: readonly [namespace: string, name: string],
): Promise<readonly Untold[]> {
  const query = { namespace, function: name, body: 'true' }
  const { items } = await ask<Page<DeliveryView>>(server, { path: ['undeliverable'], query })
  return items.map((delivery) => {
    const { body } = delivery
    return { ...delivery, told: body !== undefined && 'text' in body ? JSON.parse(body.text) : undefined }
  })
}

async function ask<Answer extends object>({ dataDir }: Place, question: Question): Promise<Answer> {
  const client = await ControlClient.open(dataDir)
  try {
    return await client.ask<Answer>(question)
  } finally {
    await client.close()
  }
}
