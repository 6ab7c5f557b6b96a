import type { Page, QueueView } from '../../control/api.ts'
import { askServer, type DoorOptions, type QueueName } from './door.ts'
import { counted, facts, lengthOf, mebibytesOf, momentOf, table, toJson } from './text.ts'

export interface PageOptions {
  readonly limit?: string
  readonly after?: string
}

/** `anvoke queue list`: one line for each function that has or had asynchronous calls. */
export async function listQueues(
  namespace: string | undefined,
  options: DoorOptions & PageOptions,
): Promise<void> {
  const { account, limit, after } = options
  const query = { account, namespace, limit, after }
  const page = await askServer(options, (client) => client.ask<Page<QueueView>>({ path: ['queues'], query }))
  if (options.json === true) {
    process.stdout.write(toJson(page))
    return
  }
  if (page.items.length === 0) process.stderr.write('No function had an asynchronous call yet.\n')
  else process.stdout.write(renderQueues(page.items))
  tellOfMore(page)
}

/** Says on stderr how to get the next page, where there is one. */
export function tellOfMore({ next }: Page<unknown>): void {
  if (next !== undefined) process.stderr.write(`There is more: the same command with --after ${next}\n`)
}

const COLUMNS = [
  'QUEUE',
  'STATE',
  'WAITING',
  'OLDEST',
  'RUNNING',
  'ACCEPTED',
  'SUCCEEDED',
  'FAILED',
  'EXPIRED',
  'CANCELLED',
  'REPEATS',
  'DUPLICATES',
]

function renderQueues(queues: readonly QueueView[]): string {
  return table(
    COLUMNS,
    queues.map((queue) => [
      `${queue.namespace}/${queue.name}`,
      queue.isPaused ? 'paused' : 'active',
      queue.waiting,
      queue.oldest === undefined ? '-' : lengthOf(queue.oldest.ageMs),
      queue.running,
      queue.accepted,
      queue.succeeded,
      queue.failed,
      queue.expired,
      queue.cancelled,
      queue.repeats,
      queue.duplicates,
    ]),
  )
}

/** `anvoke queue show`: everything that is counted of one queue, and its limits. */
export async function showQueue({ namespace, name }: QueueName, options: DoorOptions): Promise<void> {
  const { account } = options
  const queue = await askServer(options, (client) =>
    client.ask<QueueView>({ path: ['queues', namespace, name], query: { account } }),
  )
  tellQueue(queue, options)
}

/** Prints one queue in the form that was asked for. */
export function tellQueue(queue: QueueView, { json }: DoorOptions): void {
  process.stdout.write(json === true ? toJson(queue) : renderQueue(queue))
}

function renderQueue(queue: QueueView): string {
  const { oldest, deliveries } = queue
  return facts([
    ['queue', `${queue.namespace}/${queue.name} of account ${queue.account}`],
    ['state', queue.isPaused ? 'paused: takes calls in and runs none' : 'active'],
    ['waiting', queue.waiting],
    [
      '  oldest',
      oldest && `accepted ${momentOf(oldest.acceptedAtMs)}, ${lengthOf(oldest.ageMs)} ago; ${dueIn(queue)}`,
    ],
    ['running', queue.running],
    ['succeeded', queue.succeeded],
    ['failed', queue.failed],
    ['expired', queue.expired],
    ['cancelled', queue.cancelled],
    ['accepted', `${queue.accepted}${queue.imbalance === 0 ? '' : ` (off by ${queue.imbalance})`}`],
    ['repeats', `${queue.repeats} (runs that failed and were followed by another)`],
    ['refusals', `${queue.refusals} (runs that found no room)`],
    ['duplicates', `${queue.duplicates} (runs that may have repeated one under way)`],
    ['events', `${mebibytesOf(queue.liveBytes)} waiting and running`],
    [
      'endings told',
      deliveries &&
        `${deliveries.delivered}; ${deliveries.waiting + deliveries.delivering} to be told, ${deliveries.undeliverable} undeliverable`,
    ],
    ['runs at most', `${counted(queue.maxRuns, 'call')} at a time${origin(queue.set.maxRuns)}`],
    ['holds at most', `${counted(queue.maxTasks, 'call')}, waiting and running${origin(queue.set.maxTasks)}`],
  ])
}

function dueIn({ oldest }: QueueView): string {
  if (oldest === undefined) return ''
  if (oldest.overdueMs > 0) return `due for ${lengthOf(oldest.overdueMs)}`
  return `due ${momentOf(oldest.dueAtMs)}`
}

function origin(set: number | undefined): string {
  return set === undefined ? '' : ' (set for this function)'
}
