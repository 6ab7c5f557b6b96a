import type { Tasks } from '../async/tasks.ts'
import type { FunctionName } from '../model/function.ts'
import type { LogFields } from '../observe/operator-log.ts'
import type { DeliveryRecord, Outbox } from '../store/outbox.ts'
import type { ControlChange, QueueAudit, QueueControl, TaskDetails } from '../store/task-queue.ts'
import type {
  DeliveryView,
  Page,
  Purged,
  QueueView,
  RedeliveredPage,
  RedrivenPage,
  TaskDetailsView,
  TaskPageView,
  WebhookSecret,
} from './api.ts'
import { ControlError } from './errors.ts'
import { BODIES, deliveriesOf, parse, QUERIES } from './parameters.ts'
import type { Queues } from './queues.ts'
import { deliveryView, queueView, taskDetailsView, taskView, type UsualLimits } from './views.ts'

/** What operations work with. */
export interface ControlRooms {
  readonly queues: Queues
  readonly tasks: Pick<
    Tasks,
    'control' | 'purgeWaiting' | 'redrive' | 'details' | 'detailsOf' | 'list' | 'nowMs'
  >
  /** Walks over all tasks: once at a time. */
  readonly audit: () => Promise<QueueAudit>
  readonly outbox: Pick<Outbox, 'listDeliveries' | 'redeliver'>
  /** Deliveries were made due. */
  readonly notifyDestinations: () => void
  /** The account that is meant where none is named. */
  readonly account: string
  readonly usualLimits: UsualLimits
  /** What webhooks of an account verify messages with. Secret. */
  readonly webhookSecretOf: (account: string) => string
  /** Told of every change, for the operator's log. */
  readonly onChange: (what: string, fields: LogFields) => void
}

/** A request whose path has led to an operation. */
export interface ControlRequest {
  /** What stood in the path where {@link Operation.path} has `*`. */
  readonly names: readonly string[]
  readonly query: Readonly<Record<string, string>>
  readonly body: unknown
}

export interface Operation {
  readonly method: 'GET' | 'POST' | 'PATCH'
  /** Segments; `*` stands for any one. */
  readonly path: readonly string[]
  readonly run: (request: ControlRequest, rooms: ControlRooms) => Promise<object>
}

/** Everything that an administrator can do. */
export const OPERATIONS: readonly Operation[] = [
  { method: 'GET', path: ['v1', 'queues'], run: listQueues },
  { method: 'GET', path: ['v1', 'queues', '*', '*'], run: showQueue },
  { method: 'PATCH', path: ['v1', 'queues', '*', '*'], run: changeQueue },
  { method: 'POST', path: ['v1', 'queues', '*', '*', 'purge'], run: purgeQueue },
  { method: 'POST', path: ['v1', 'queues', '*', '*', 'redrive'], run: redriveQueue },
  { method: 'POST', path: ['v1', 'queues', '*', '*', 'redeliver'], run: redeliverEndings },
  { method: 'GET', path: ['v1', 'queues', '*', '*', 'tasks'], run: listTasks },
  { method: 'GET', path: ['v1', 'tasks', '*'], run: showTask },
  { method: 'GET', path: ['v1', 'undeliverable'], run: listUndeliverable },
  { method: 'GET', path: ['v1', 'audit'], run: auditQueues },
  { method: 'GET', path: ['v1', 'webhook-secret'], run: showWebhookSecret },
]

async function listQueues({ query }: ControlRequest, rooms: ControlRooms): Promise<Page<QueueView>> {
  const { account = rooms.account, namespace, after, limit } = parse(QUERIES.queues, query, 'query')
  if (account !== rooms.account) await rooms.queues.requireAccount(account)
  const all = await rooms.queues.list(account, namespace)
  if (namespace !== undefined && all.length === 0)
    throw new ControlError('caller/namespace-not-found', `there is no queue in namespace ${namespace}`, {
      fix: 'without a namespace, all queues are listed',
    })
  const [afterNamespace = '', afterName = ''] = after?.split('/') ?? []
  const rest =
    after === undefined
      ? all
      : all.filter(
          (queue) =>
            queue.namespace > afterNamespace ||
            (queue.namespace === afterNamespace && queue.name > afterName),
        )
  const nowMs = rooms.tasks.nowMs()
  const items = rest.slice(0, limit).map((queue) => queueView(queue, rooms.usualLimits, nowMs))
  const last = items.at(-1)
  return {
    items,
    ...(rest.length > limit && last !== undefined ? { next: `${last.namespace}/${last.name}` } : {}),
  }
}

async function showQueue(request: ControlRequest, rooms: ControlRooms): Promise<QueueView> {
  return viewOf(ownerOf(request, rooms), rooms)
}

async function changeQueue(request: ControlRequest, rooms: ControlRooms): Promise<QueueView> {
  const owner = ownerOf(request, rooms)
  const change = changeOf(parse(BODIES.change, request.body, 'body'))
  await rooms.queues.find(owner)
  const { isPaused, ...set }: QueueControl = await rooms.tasks.control(owner, change)
  rooms.onChange('a queue was changed', { ...wordsOf(owner), isPaused, ...set })
  return viewOf(owner, rooms)
}

async function purgeQueue(request: ControlRequest, rooms: ControlRooms): Promise<Purged> {
  const owner = ownerOf(request, rooms)
  const { limit } = parse(BODIES.step, request.body, 'body')
  const purged = await rooms.tasks.purgeWaiting(owner, limit)
  if (purged > 0) rooms.onChange('waiting calls were cancelled', { ...wordsOf(owner), purged })
  const { waiting } = await rooms.queues.find(owner)
  return { purged, waiting }
}

async function redriveQueue(request: ControlRequest, rooms: ControlRooms): Promise<RedrivenPage> {
  const owner = ownerOf(request, rooms)
  const { limit, requestIds, endedFromMs, endedToMs } = parse(BODIES.redrive, request.body, 'body')
  await rooms.queues.find(owner)
  const redriven = await rooms.tasks.redrive(owner, limit, {
    ...(requestIds === undefined ? {} : { requestIds }),
    ...(endedFromMs === undefined ? {} : { endedFromMs }),
    ...(endedToMs === undefined ? {} : { endedToMs }),
  })
  if (redriven.length > 0)
    rooms.onChange('failed calls were accepted anew', { ...wordsOf(owner), redriven: redriven.length })
  return { redriven }
}

async function redeliverEndings(request: ControlRequest, rooms: ControlRooms): Promise<RedeliveredPage> {
  const owner = ownerOf(request, rooms)
  const { limit, requestIds, endedFromMs, endedToMs } = parse(BODIES.redrive, request.body, 'body')
  await rooms.queues.find(owner)
  const page = await rooms.outbox.redeliver(owner, limit, {
    ...(requestIds === undefined ? {} : { requestIds }),
    ...(endedFromMs === undefined ? {} : { endedFromMs }),
    ...(endedToMs === undefined ? {} : { endedToMs }),
  })
  const redelivered = page.redelivered.length
  if (redelivered === 0) return page
  rooms.notifyDestinations()
  rooms.onChange('undeliverable endings are told again', { ...wordsOf(owner), redelivered })
  return page
}

async function listTasks(request: ControlRequest, rooms: ControlRooms): Promise<TaskPageView> {
  const { account = rooms.account, status, ...filter } = parse(QUERIES.tasks, request.query, 'query')
  const { namespace, name: functionName } = ownerOf({ ...request, query: {} }, rooms)
  await rooms.queues.find({ account, namespace, name: functionName })
  const { endedFromMs, endedToMs, order, after, limit } = filter
  const isByEnd = endedFromMs !== undefined || endedToMs !== undefined
  const { tasks, total, next } = await rooms.tasks.list({
    account,
    namespace,
    functionName,
    limit,
    ...(status === undefined ? {} : { statuses: status }),
    ...(endedFromMs === undefined ? {} : { endedFromMs }),
    ...(endedToMs === undefined ? {} : { endedToMs }),
    ...(isByEnd ? { orderBy: 'ended' } : {}),
    ...(order === undefined ? {} : { order }),
    ...(after === undefined ? {} : { after }),
  })
  return { items: tasks.map(taskView), total, ...(next === undefined ? {} : { next }) }
}

async function showTask(
  { names: [requestId = ''], query }: ControlRequest,
  rooms: ControlRooms,
): Promise<TaskDetailsView> {
  const { account = rooms.account, event } = parse(QUERIES.task, query, 'query')
  const details =
    (await rooms.tasks.details(account, requestId)) ?? (await taskByOwnId(account, requestId, rooms))
  if (details === undefined)
    throw new ControlError(
      'caller/task-not-found',
      `account ${account} has no asynchronous call ${requestId}`,
      {
        fix: 'what has ended is kept for a time (taskRetentionDays): look for it in the list of its function',
      },
    )
  const [delivery] =
    details.telling === undefined || details.telling === 'delivered'
      ? []
      : await deliveriesOfTask(details, rooms)
  return taskDetailsView(details, delivery, event !== undefined)
}

/** Newest first: should request ids have been used twice, that of the latest. */
async function deliveriesOfTask(
  { account, namespace, functionName, requestId }: TaskDetails,
  { outbox }: ControlRooms,
): Promise<readonly DeliveryRecord[]> {
  const filter = { account, namespace, functionName, requestId, limit: 1 }
  return (await outbox.listDeliveries(filter)).deliveries
}

/** Functions that a caller's own id is looked for in. */
const MAX_SEARCHED = 1000

/** @throws {ControlError} `caller/task-ambiguous`: such ids are unique in a function, and no further. */
async function taskByOwnId(
  account: string,
  taskId: string,
  { queues, tasks }: ControlRooms,
): Promise<TaskDetails | undefined> {
  const found: TaskDetails[] = []
  for (const owner of (await queues.list(account)).slice(0, MAX_SEARCHED)) {
    const details = await tasks.detailsOf(owner, taskId)
    if (details !== undefined) found.push(details)
  }
  if (found.length < 2) return found[0]
  const ids = found
    .slice(0, 5)
    .map(({ requestId, namespace, functionName }) => `${requestId} (${namespace}/${functionName})`)
  throw new ControlError('caller/task-ambiguous', `calls of several functions have the id ${taskId}`, {
    fix: `name one by its request id: ${ids.join(', ')}`,
  })
}

async function listUndeliverable(
  { query }: ControlRequest,
  rooms: ControlRooms,
): Promise<Page<DeliveryView>> {
  const asked = parse(QUERIES.deliveries, query, 'query')
  const { account = rooms.account, namespace, function: functionName, after, body } = asked
  if (account !== rooms.account) await rooms.queues.requireAccount(account)
  if (namespace !== undefined && functionName !== undefined)
    await rooms.queues.find({ account, namespace, name: functionName })
  const { deliveries, next } = await rooms.outbox.listDeliveries({
    account,
    status: 'undeliverable',
    limit: deliveriesOf(asked),
    withBody: body !== undefined,
    ...(namespace === undefined ? {} : { namespace }),
    ...(functionName === undefined ? {} : { functionName }),
    ...(after === undefined ? {} : { after }),
  })
  return { items: deliveries.map(deliveryView), ...(next === undefined ? {} : { next }) }
}

async function auditQueues({ query }: ControlRequest, rooms: ControlRooms): Promise<QueueAudit> {
  parse(QUERIES.nothing, query, 'query')
  return rooms.audit()
}

async function showWebhookSecret({ query }: ControlRequest, rooms: ControlRooms): Promise<WebhookSecret> {
  const { account = rooms.account } = parse(QUERIES.one, query, 'query')
  if (account !== rooms.account) await rooms.queues.requireAccount(account)
  return { account, secret: rooms.webhookSecretOf(account) }
}

function ownerOf(
  { names: [namespace = '', name = ''], query }: ControlRequest,
  rooms: ControlRooms,
): FunctionName {
  const { account = rooms.account } = parse(QUERIES.one, query, 'query')
  return { account, namespace, name }
}

async function viewOf(owner: FunctionName, { queues, usualLimits, tasks }: ControlRooms): Promise<QueueView> {
  return queueView(await queues.find(owner), usualLimits, tasks.nowMs())
}

/** Absent members stay absent: they change nothing. */
function changeOf(given: { [K in keyof ControlChange]: ControlChange[K] | undefined }): ControlChange {
  const { isPaused, maxRuns, maxTasks } = given
  return {
    ...(isPaused === undefined ? {} : { isPaused }),
    ...(maxRuns === undefined ? {} : { maxRuns }),
    ...(maxTasks === undefined ? {} : { maxTasks }),
  }
}

function wordsOf({ account, namespace, name }: FunctionName): LogFields {
  return { account, function: `${namespace}/${name}` }
}
