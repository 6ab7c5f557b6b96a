import { randomUUID } from 'node:crypto'
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import {
  PAGE_BYTES,
  TASK_ENDINGS,
  type QueueAudit,
  type QueueControl,
  type QueueCounters,
  type Redriven,
} from '../task-queue.ts'
import { ENDING_COLUMNS, type EndingRow, type Endings } from './endings.ts'
import { imbalanceOf, keptDeliveries, keptTasks, type FunctionQueue } from './function-queue.ts'
import type { FunctionQueues } from './function-queues.ts'
import type { InputOf } from './operations.ts'
import type { OutboxOperations } from './outbox.ts'
import { formatPlan, parsePlan } from './plan.ts'

/** What looks after queues; each runs inside the transaction of its batch. */
export interface QueueOperations {
  countTasks(input: InputOf<'countTasks'>): readonly QueueCounters[]
  controlQueue(input: InputOf<'controlQueue'>): QueueControl
  purgeWaiting(input: InputOf<'purgeWaiting'>): number
  redriveTasks(input: InputOf<'redriveTasks'>): readonly Redriven[]
  auditQueues(): QueueAudit
}

/** Tasks touched in one transaction, whatever is asked for: others wait for it. */
const MAX_STEP = 1000

/** A task that is accepted anew. */
interface FailedRow {
  readonly sequence: number
  readonly request_id: string
  readonly qualifier: string | null
  readonly accepted_at_ms: number
  readonly expires_at_ms: number
  readonly ended_at_ms: number
  readonly payload_bytes: number
  readonly plan: string | null
}

const FAILED_COLUMNS =
  'sequence, request_id, qualifier, accepted_at_ms, expires_at_ms, ended_at_ms, payload_bytes, plan'

/** Without it nothing can be run: that of a task which ended under an older version was not kept. */
const HAS_EVENT = 'EXISTS (SELECT 1 FROM task_payloads WHERE task_payloads.sequence = tasks.sequence)'

export function prepareOperations(
  database: DatabaseSync,
  queues: FunctionQueues,
  endings: Endings,
  outbox: Pick<OutboxOperations, 'countMistakes'>,
): QueueOperations {
  const selectWaiting = database.prepare(
    `SELECT ${ENDING_COLUMNS} FROM tasks INDEXED BY tasks_by_function
     WHERE ended_at_ms IS NULL AND account = ? AND namespace = ? AND function_name = ? AND status = 'waiting'
     ORDER BY due_at_ms, sequence LIMIT ?`,
  )
  // In front of it are leased ones alone: no more than run.
  const selectNext = database.prepare(
    `SELECT accepted_at_ms, due_at_ms FROM tasks INDEXED BY tasks_by_function
     WHERE ended_at_ms IS NULL AND account = ? AND namespace = ? AND function_name = ? AND status = 'waiting'
     ORDER BY due_at_ms, sequence LIMIT 1`,
  )
  const selectFailed = database.prepare(
    `SELECT ${FAILED_COLUMNS} FROM tasks INDEXED BY tasks_by_end
     WHERE account = ? AND namespace = ? AND function_name = ? AND ended_at_ms >= ? AND ended_at_ms < ?
       AND status IN ('failed', 'expired') AND is_redriven = 0 AND ${HAS_EVENT}
     ORDER BY ended_at_ms, sequence LIMIT ?`,
  )
  const selectNamed = database.prepare(
    `SELECT ${FAILED_COLUMNS} FROM tasks INDEXED BY tasks_by_request
     WHERE account = ? AND namespace = ? AND function_name = ? AND ended_at_ms >= ? AND ended_at_ms < ?
       AND status IN ('failed', 'expired') AND is_redriven = 0 AND ${HAS_EVENT}
       AND request_id IN (SELECT value FROM json_each(?))
     ORDER BY ended_at_ms, sequence LIMIT ?`,
  )
  const insertAnew = database.prepare(
    `INSERT INTO tasks (request_id, account, namespace, function_name, qualifier, task_id, accepted_at_ms, due_at_ms, expires_at_ms,
       max_retries, backoff_first_ms, backoff_longest_ms, keeps_details, plan, payload_bytes)
     SELECT ?1, account, namespace, function_name, qualifier, iif(task_id IS NULL, NULL, ?1), ?2, ?3, ?4,
       max_retries, backoff_first_ms, backoff_longest_ms, keeps_details, ?5, payload_bytes
     FROM tasks WHERE sequence = ?6`,
  )
  const copyPayload = database.prepare(
    'INSERT INTO task_payloads (sequence, payload) SELECT ?, payload FROM task_payloads WHERE sequence = ?',
  )
  const markRedriven = database.prepare('UPDATE tasks SET is_redriven = 1 WHERE sequence = ?')

  const nextOf = (queue: FunctionQueue): QueueCounters['next'] => {
    if (queue.counts.waiting === 0) return undefined
    const head = queues.headOf(queue)
    if (head?.isLeased === false) return { acceptedAtMs: head.acceptedAtMs, dueAtMs: head.dueAtMs }
    const row = selectNext.get(queue.account, queue.namespace, queue.name)
    return row && { acceptedAtMs: Number(row['accepted_at_ms']), dueAtMs: Number(row['due_at_ms']) }
  }

  return {
    countTasks({ account, namespace, name, withForgotten = false }) {
      return [...queues.all]
        .filter(
          (queue) =>
            queue.account === account &&
            (withForgotten || queue.name !== '') &&
            (namespace === undefined || queue.namespace === namespace) &&
            (name === undefined || queue.name === name),
        )
        .toSorted((a, b) => order(a.namespace, b.namespace) || order(a.name, b.name))
        .map((queue) => countersOf(queue, nextOf(queue)))
    },

    controlQueue({ owner, change }) {
      const queue = queues.of(owner.account, owner.namespace, owner.name)
      queues.control(queue, change)
      return queue.control
    },

    purgeWaiting({ owner, limit, nowMs }) {
      const rows = selectWaiting.all(owner.account, owner.namespace, owner.name, Math.min(limit, MAX_STEP))
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects these columns
      for (const row of rows as unknown as EndingRow[])
        endings.end(row, { ending: 'cancelled', attempts: row.attempts, lastError: 'purged' }, nowMs)
      return rows.length
    },

    redriveTasks({ owner, limit, nowMs, which = {} }) {
      const { account, namespace, name } = owner
      const { requestIds, endedFromMs = 0, endedToMs = Number.MAX_SAFE_INTEGER } = which
      const of = [account, namespace, name, endedFromMs, endedToMs] as const
      const most = Math.min(limit, MAX_STEP)
      const found =
        requestIds === undefined
          ? selectFailed.all(...of, most)
          : selectNamed.all(...of, JSON.stringify(requestIds), most)
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects these columns
      return firstOf(found as unknown as FailedRow[], PAGE_BYTES).map((row) => {
        const { sequence, payload_bytes: payloadBytes, request_id: causedBy } = row
        const queue = queues.of(account, namespace, name)
        queues.requireRoom(queue, payloadBytes)
        const requestId = randomUUID()
        const expiresAtMs = nowMs + (row.expires_at_ms - row.accepted_at_ms)
        const plan = formatPlan({ ...parsePlan(row.plan), causedBy })
        const anew = insertAnew.run(requestId, nowMs, nowMs, expiresAtMs, plan, sequence).lastInsertRowid
        copyPayload.run(anew, sequence)
        markRedriven.run(sequence)
        queues.count(queue, { accepted: 1, waiting: 1, liveBytes: payloadBytes })
        queue.head = undefined
        return { requestId, causedBy, endedAtMs: row.ended_at_ms }
      })
    },

    auditQueues() {
      const mistakes = queues.countMistakes() + outbox.countMistakes()
      const { miscounted, ...rest } = audit(database, queues)
      return { ...rest, miscounted: miscounted + mistakes }
    },
  }
}

/** Those whose events have so many bytes together, and one at least. */
function firstOf(rows: readonly FailedRow[], maxBytes: number): readonly FailedRow[] {
  let bytes = 0
  const end = rows.findIndex((row, index) => (bytes += row.payload_bytes) > maxBytes && index > 0)
  return end === -1 ? rows : rows.slice(0, end)
}

function countersOf(queue: FunctionQueue, next: QueueCounters['next']): QueueCounters {
  const { account, namespace, name, counts, control } = queue
  const { accepted, waiting, running, succeeded, failed, expired, cancelled } = counts
  const { repeats, refusals, duplicates, liveBytes } = counts
  return {
    account,
    namespace,
    name,
    accepted,
    waiting,
    running,
    succeeded,
    failed,
    expired,
    cancelled,
    repeats,
    refusals,
    duplicates,
    liveBytes,
    ...(counts.deliveries === 0
      ? {}
      : {
          deliveries: {
            waiting: counts.deliveriesWaiting,
            delivering: counts.delivering,
            delivered: counts.delivered,
            undeliverable: counts.undeliverable,
          },
        }),
    ...(next === undefined ? {} : { next }),
    control,
  }
}

function audit(database: DatabaseSync, queues: FunctionQueues): QueueAudit {
  const selectCounts = database.prepare(
    `SELECT sum(status = 'waiting') AS waiting, sum(status = 'leased') AS running, sum(status = 'succeeded') AS succeeded,
       sum(status = 'failed') AS failed, sum(status = 'expired') AS expired, sum(status = 'cancelled') AS cancelled,
       sum(payload_bytes) FILTER (WHERE ended_at_ms IS NULL) AS live_bytes, sum(kept_bytes) AS kept_bytes, count(*) AS there
     FROM tasks WHERE account = ? AND namespace = ? AND function_name = ?`,
  )
  const selectDeliveries = database.prepare(
    `SELECT sum(status = 'waiting') AS waiting, sum(status = 'leased') AS leased, sum(status = 'undeliverable') AS undeliverable,
       sum(length(body)) FILTER (WHERE ended_at_ms IS NULL) AS live_bytes,
       sum(length(body)) FILTER (WHERE ended_at_ms IS NOT NULL) AS kept_bytes
     FROM deliveries WHERE account = ? AND namespace = ? AND function_name = ?`,
  )
  let imbalance = 0
  let miscounted = 0
  let counted = 0
  for (const queue of queues.all) {
    const { counts } = queue
    imbalance += imbalanceOf(counts)
    const row = selectCounts.get(queue.account, queue.namespace, queue.name) ?? {}
    const compare = (own: number, there: SQLOutputValue | undefined): void => {
      miscounted += Math.abs(own - Number(there ?? 0))
    }
    compare(counts.waiting, row['waiting'])
    compare(counts.running, row['running'])
    compare(counts.liveBytes, row['live_bytes'])
    compare(counts.keptBytes, row['kept_bytes'])
    for (const ending of TASK_ENDINGS) compare(keptTasks(counts, ending), row[ending])
    const told = selectDeliveries.get(queue.account, queue.namespace, queue.name) ?? {}
    compare(counts.deliveriesWaiting, told['waiting'])
    compare(counts.delivering, told['leased'])
    compare(keptDeliveries(counts), told['undeliverable'])
    compare(counts.deliveryBytes, told['live_bytes'])
    compare(counts.undeliverableBytes, told['kept_bytes'])
    counted += Number(row['there'])
  }
  const number = (sql: string): number => Number(database.prepare(sql).get()?.['count'])
  miscounted += Math.abs(counted - number('SELECT count(*) AS count FROM tasks'))
  const strayPayloads =
    number('SELECT count(*) AS count FROM task_payloads WHERE sequence NOT IN (SELECT sequence FROM tasks)') +
    number('SELECT count(*) AS count FROM task_results WHERE sequence NOT IN (SELECT sequence FROM tasks)') +
    number(
      `SELECT count(*) AS count FROM tasks
       WHERE ended_at_ms IS NULL AND sequence NOT IN (SELECT sequence FROM task_payloads)`,
    )
  return { imbalance, miscounted, strayPayloads }
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
