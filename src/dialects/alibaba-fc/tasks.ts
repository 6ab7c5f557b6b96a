import { findFunction } from '../../definitions/find-function.ts'
import type { FunctionName } from '../../model/function.ts'
import { LATEST } from '../../model/function.ts'
import type { TaskDetails, TaskFilter, TaskRecord } from '../../store/task-queue.ts'
import { TASK_SOURCE } from './async-settings.ts'
import { FcError } from './errors.ts'
import { keptBody } from './failed-run.ts'
import { invalidValue, queryInteger } from './fields.ts'
import type { Answer, Call, Operation, Rooms } from './operation.ts'
import { ownExtras } from './own-extras.ts'
import { page } from './paging.ts'
import { namedBy, pathParameter, qualifiedFunctionOf } from './target.ts'
import {
  destinationStatusOf,
  errorOf,
  eventsOf,
  retriesOf,
  searchFor,
  stateOf,
  TASK_STATES,
} from './task-states.ts'

/** Tasks of a page when the request names no `limit`, and the most it may name. Source: the vendor's page of the operation. */
const DEFAULT_PAGE_TASKS = 20
const PAGE_TASKS = { min: 1, max: 100 }

/** Epoch milliseconds. */
const TIMES = { min: 0, max: 999_999_999_999_999 }

/** Longest id that a task can have, characters. */
const TASK_ID_CHARS = 128

/** What the queue gives as the end of a page. */
const CURSOR = /^\d{1,15}\.\d{1,15}$/

/**
 * Looks at the queue for one page. Where the queue cannot tell the wanted state or qualifier from others, what is not wanted is left out of
 * what they find, so that a page may be short before the last.
 */
const LOOKS_PER_PAGE = 32

/**
 * Shows a task with everything that is kept of it.
 *
 * @throws {FcError} StatefulAsyncInvocationNotFound
 */
export const getStatefulAsyncInvocation: Operation = async (call, rooms) => {
  const task = await findTask(call, rooms)
  const { payload, result } = task
  const returned = keptBody(task)
  return {
    status: 200,
    body: {
      ...taskBody(task),
      destinationStatus: destinationStatusOf(task),
      ...(payload !== undefined && { invocationPayload: payload.toString() }),
      ...(result !== undefined && { instanceId: result.instanceId }),
      ...(returned !== undefined && { returnPayload: returned }),
      events: eventsOf(task),
    },
  }
}

/**
 * Ends a task, whether it waits or runs; the instance of one that runs is killed, and it is not repeated.
 *
 * @throws {FcError} InvalidArgument: it has ended; StatefulAsyncInvocationNotFound
 */
export const stopStatefulAsyncInvocation: Operation = async (call, rooms) => {
  const task = await findTask(call, rooms)
  const { account, requestId } = task
  // A request id may be its caller's trace id: another call that goes by the same one must not be ended instead.
  const latest = await rooms.tasks.find(account, requestId)
  if (latest?.taskId !== task.taskId || latest?.functionName !== task.functionName)
    throw new FcError('ConcurrentUpdateError', `another invocation goes by the request id '${requestId}'`)
  const termination = await rooms.tasks.terminate(account, requestId)
  if (termination === 'unknown') throw notFound(task.taskId)
  if (termination === 'ended') throw hasEnded(task)
  return { status: 200, body: {} }
}

/** A page of the tasks of a function, in the order in which they were accepted, the latest first where nothing is said. */
export const listStatefulAsyncInvocations: Operation = async (call, rooms) => {
  const { account, service, name } = qualifiedFunctionOf(call)
  const { query, qualifier } = call
  const state = oneOf(query, 'status', TASK_STATES)
  const search = state === undefined ? {} : searchFor(state)
  const limit = queryInteger(query, 'limit', PAGE_TASKS) ?? DEFAULT_PAGE_TASKS
  const beginMs = queryInteger(query, 'startedTimeBegin', TIMES)
  const endMs = queryInteger(query, 'startedTimeEnd', TIMES)
  const prefix = prefixOf(query)
  const cursor = cursorOf(query)
  const filter: Omit<TaskFilter, 'limit' | 'after'> = {
    account,
    namespace: service,
    functionName: name,
    source: TASK_SOURCE,
    ...(prefix !== '' && { taskIdPrefix: prefix }),
    ...(qualifier !== undefined && qualifier !== LATEST && { qualifier }),
    ...(beginMs !== undefined && { acceptedFromMs: beginMs }),
    ...(endMs !== undefined && { acceptedToMs: endMs + 1 }),
    order: oneOf(query, 'sortOrderByTime', ['asc', 'desc']) === 'asc' ? 'oldest' : 'newest',
    withPayload: oneOf(query, 'includePayload', ['true', 'false']) === 'true',
    ...search,
  }
  const isWanted = (task: TaskRecord): boolean =>
    (state === undefined || stateOf(task) === state) &&
    (qualifier === undefined || (task.qualifier ?? LATEST) === qualifier)
  const found = search === undefined ? { tasks: [] } : await collect(rooms, filter, limit, cursor, isWanted)
  if (found.tasks.length === 0) findFunction(rooms.catalogue, account, service, name, qualifier)
  return listAnswer(found)
}

/** The functions, with their qualifiers, whose asynchronous calls are tasks. */
export const listStatefulAsyncInvocationFunctions: Operation = (call, { catalogue }) => {
  const configs = catalogue
    .list('asyncConfig', `${call.accountId}/`)
    .filter(({ value }) => ownExtras(value)['statefulInvocation'] === true)
  const { items, nextToken } = page(call.query, configs, ({ value }) =>
    [value.namespace, value.functionName, value.qualifier].join('/'),
  )
  const data = items.map(({ value }) => ({
    serviceName: value.namespace,
    functionName: value.functionName,
    qualifier: value.qualifier,
  }))
  return { status: 200, body: { data, nextToken } }
}

/** A task outlives its function: only where there is none is it asked whether the function is there. */
async function findTask(call: Call, { catalogue, tasks }: Rooms): Promise<TaskDetails> {
  const target = qualifiedFunctionOf(call)
  const owner: FunctionName = namedBy(target)
  const taskId = pathParameter(call, 'id')
  const task = taskId.length > TASK_ID_CHARS ? undefined : await tasks.detailsOf(owner, taskId)
  const isMeant = call.qualifier === undefined || call.qualifier === (task?.qualifier ?? LATEST)
  if (task?.source === TASK_SOURCE && isMeant) return task
  findFunction(catalogue, owner.account, owner.namespace, owner.name, call.qualifier)
  throw notFound(taskId)
}

interface FoundTasks {
  readonly tasks: readonly TaskRecord[]
  readonly next?: string
}

async function collect(
  { tasks: queue }: Rooms,
  filter: Omit<TaskFilter, 'limit' | 'after'>,
  limit: number,
  cursor: string | undefined,
  isWanted: (task: TaskRecord) => boolean,
): Promise<FoundTasks> {
  const tasks: TaskRecord[] = []
  let next = cursor
  for (let looks = 0; looks < LOOKS_PER_PAGE; looks += 1) {
    // No more than fit: the cursor is that of the last task found.
    const found = await queue.list({
      ...filter,
      ...(next === undefined ? {} : { after: next }),
      limit: limit - tasks.length,
    })
    tasks.push(...found.tasks.filter(isWanted))
    next = found.next
    // One that found nothing has looked at thousands: the client says whether to go on.
    if (next === undefined || tasks.length === limit || found.tasks.length === 0) break
  }
  return { tasks, ...(next === undefined ? {} : { next }) }
}

/** As the vendor's suites measured it, an empty list has no `invocations`. */
function listAnswer({ tasks, next }: FoundTasks): Answer {
  const invocations = tasks.map((task) => ({
    ...taskBody(task),
    ...(task.payload !== undefined && { invocationPayload: task.payload.toString() }),
  }))
  return { status: 200, body: { ...(invocations.length > 0 && { invocations }), nextToken: next } }
}

/** What a list and a single task have in common. Clients read `endTime` of those that go on, too. */
function taskBody(task: TaskRecord): Record<string, unknown> {
  const { acceptedAtMs, endedAtMs, qualifier = LATEST } = task
  return {
    serviceName: task.namespace,
    functionName: task.functionName,
    qualifier,
    invocationId: task.taskId,
    requestId: task.requestId,
    status: stateOf(task),
    startedTime: acceptedAtMs,
    endTime: endedAtMs ?? 0,
    durationMs: lastRunMs(task),
    alreadyRetriedTimes: retriesOf(task),
    invocationErrorMessage: task.status === 'succeeded' ? undefined : errorOf(task.lastError),
  }
}

/** From the beginning of the last run to the end of the task; 0 before it, and when the task was stopped while it waited. */
function lastRunMs({ status, claimedAtMs, endedAtMs, stopRequestedAtMs }: TaskRecord): number {
  const wasWaiting = status === 'cancelled' && stopRequestedAtMs === undefined
  return endedAtMs === undefined || claimedAtMs === undefined || wasWaiting ? 0 : endedAtMs - claimedAtMs
}

/** @throws {FcError} InvalidArgument */
function oneOf<const W extends string>(
  query: ReadonlyMap<string, string>,
  name: string,
  words: readonly W[],
): W | undefined {
  const text = query.get(name) ?? ''
  if (text === '') return undefined
  const word = words.find((candidate) => candidate === text)
  if (word === undefined) throw invalidValue(name, words.join(' | '), text)
  return word
}

/** @throws {FcError} InvalidArgument */
function prefixOf(query: ReadonlyMap<string, string>): string {
  const prefix = query.get('invocationIdPrefix') ?? ''
  if (prefix.length > TASK_ID_CHARS)
    throw invalidValue('invocationIdPrefix', `at most ${TASK_ID_CHARS} characters`, prefix)
  return prefix
}

/** @throws {FcError} InvalidArgument */
function cursorOf(query: ReadonlyMap<string, string>): string | undefined {
  const token = query.get('nextToken') ?? ''
  if (token === '') return undefined
  if (!CURSOR.test(token)) throw invalidValue('nextToken', 'the nextToken of a page before', token)
  return token
}

function notFound(taskId = ''): FcError {
  return new FcError(
    'StatefulAsyncInvocationNotFound',
    `stateful async invocation '${taskId}' does not exist`,
  )
}

function hasEnded(task: TaskRecord): FcError {
  return new FcError(
    'InvalidArgument',
    `stateful async invocation '${task.taskId}' has ended and cannot be stopped`,
  )
}
