import type { Content, DeliveryView, TaskDetailsView, TaskPageView } from '../../control/api.ts'
import { CommandFailed, EXIT } from '../complaint.ts'
import { askServer, type DoorOptions, type QueueName } from './door.ts'
import { tellOfMore, type PageOptions } from './show.ts'
import { facts, lengthOf, manyLines, mebibytesOf, millisecondsOf, momentOf, table, toJson } from './text.ts'

export interface EndedOptions {
  readonly endedFrom?: string
  readonly endedTo?: string
}

export interface TaskListOptions extends PageOptions, EndedOptions {
  readonly status?: string
  readonly order?: string
}

/** `anvoke queue tasks`: the calls of a function, newest first. */
export async function listTasks(
  { namespace, name }: QueueName,
  options: DoorOptions & TaskListOptions,
): Promise<void> {
  const { account, status, order, limit, after } = options
  const query = { account, status, order, limit, after, ...endedRange(options) }
  const page = await askServer(options, (client) =>
    client.ask<TaskPageView>({ path: ['queues', namespace, name, 'tasks'], query }),
  )
  if (options.json === true) {
    process.stdout.write(toJson(page))
    return
  }
  if (page.items.length === 0) process.stderr.write('There are no such calls.\n')
  else
    process.stdout.write(
      table(
        ['REQUEST', 'STATUS', 'ACCEPTED', 'ENDED', 'ATTEMPTS', 'LOST', 'ID', 'LAST ERROR'],
        page.items.map((task) => [
          task.requestId,
          task.status,
          momentOf(task.acceptedAtMs),
          task.endedAtMs === undefined ? '-' : momentOf(task.endedAtMs),
          task.attempts,
          task.lostRuns,
          task.taskId ?? '-',
          task.lastError ?? '-',
        ]),
      ),
    )
  tellOfMore(page)
}

/** The range in which calls have ended, as the server takes it. @throws {CommandFailed} exit code 2: it is no moment. */
export function endedRange({ endedFrom, endedTo }: EndedOptions): {
  readonly endedFromMs: number | undefined
  readonly endedToMs: number | undefined
} {
  return { endedFromMs: parseMoment(endedFrom), endedToMs: parseMoment(endedTo) }
}

function parseMoment(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const ms = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN
  if (!Number.isNaN(ms)) return ms
  throw new CommandFailed(
    {
      what: `'${text.slice(0, 100)}' is no moment`,
      why: 'moments are written as ISO 8601 has them',
      fix: `write it like ${momentOf(Date.UTC(2026, 0, 31, 12))}`,
    },
    { exitCode: EXIT.usage },
  )
}

/** `anvoke queue task`: one call, by its request id or the caller's own, with its runs, its result and its log. */
export async function showTask(
  id: string,
  options: DoorOptions & { readonly event?: boolean },
): Promise<void> {
  const query = { account: options.account, event: options.event === true ? 'true' : undefined }
  const task = await askServer(options, (client) =>
    client.ask<TaskDetailsView>({ path: ['tasks', id], query }),
  )
  process.stdout.write(options.json === true ? toJson(task) : renderTask(task))
}

function renderTask(task: TaskDetailsView): string {
  const { result, event, delivery, destinations: { onSuccess, onFailure } = {} } = task
  const blocks = [
    facts([
      ['request', task.requestId],
      ['id', task.taskId],
      ['queue', `${task.namespace}/${task.functionName} of account ${task.account}`],
      ['qualifier', task.qualifier],
      ['status', task.status],
      ['last error', task.lastError],
      ['accepted', momentOf(task.acceptedAtMs)],
      ['due', moment(task.dueAtMs)],
      ['first run', moment(task.startedAtMs)],
      ['latest run', moment(task.claimedAtMs)],
      ['stop asked', moment(task.stopRequestedAtMs)],
      ['ended', moment(task.endedAtMs)],
      ['told of success', onSuccess && targetOf(onSuccess)],
      ['told of failure', onFailure && targetOf(onFailure)],
      ['end told', delivery?.status ?? task.telling],
      ['  tries', delivery?.attempts],
      ['  next try', delivery?.status === 'waiting' ? moment(delivery.dueAtMs) : undefined],
      ['  last reason', delivery?.lastError],
      ['attempts', `${task.attempts} of ${task.maxRetries + 1}`],
      ['lost runs', task.lostRuns],
      ['source', task.source],
      ['caused by', task.causedBy],
    ]),
  ]
  if (task.history.length > 0)
    blocks.push(
      table(
        ['RUN', 'TOOK', 'HOW', 'TIMES', 'REASON'],
        task.history.map((run) => [
          momentOf(run.startedAtMs),
          lengthOf(run.endedAtMs - run.startedAtMs),
          run.how,
          run.count ?? 1,
          run.reason ?? '-',
        ]),
      ),
    )
  if (result !== undefined) {
    const measured = `${result.kind}, ${millisecondsOf(result.durationMs)}, billed ${millisecondsOf(result.billedDurationMs)}, ${mebibytesOf(result.maxMemoryBytes)} of memory at most`
    const ran = `version ${result.version} in instance ${result.instanceId}`
    blocks.push(
      facts([
        ['last run', measured],
        ['', ran],
      ]),
    )
    blocks.push(part(`result${result.isCut ? ', cut off' : ''}`, textOf(result.payload)))
    if (result.logTail !== '') blocks.push(part('log', result.logTail))
  }
  if (event !== undefined) blocks.push(part('event', textOf(event)))
  return blocks.join('\n')
}

function moment(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : momentOf(ms)
}

/** Text as it is; other bytes in base64. */
export function textOf(content: Content): string {
  return 'text' in content ? content.text : `base64: ${content.base64}`
}

/** Where an ending is told, on one line. */
export function targetOf({ target }: DeliveryView['destination']): string {
  switch (target.kind) {
    case 'function':
      return `function ${target.namespace}/${target.name}`
    case 'webhook':
      return target.url
    case 'unreachable':
      return target.name
  }
}

function part(title: string, text: string): string {
  return `${title}:\n${manyLines(text)}${text.endsWith('\n') ? '' : '\n'}`
}
