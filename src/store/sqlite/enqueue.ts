import type { DatabaseSync } from 'node:sqlite'
import { EngineError } from '../../model/errors.ts'
import type { PayloadMemory } from './batch.ts'
import type { FunctionQueues } from './function-queues.ts'
import type { TaskToEnqueue } from './operations.ts'
import { formatPlan } from './plan.ts'

/**
 * Adds a task. It refuses before it writes anything, so nothing of a refused one has to be undone alone.
 *
 * @param memory Where the payloads of the whole batch arrive; the task says where its own is.
 * @throws {EngineError} `caller/task-exists`, `caller/queue-full`
 */
export type EnqueueTask = (task: TaskToEnqueue, memory: PayloadMemory) => undefined

export function prepareEnqueue(database: DatabaseSync, queues: FunctionQueues): EnqueueTask {
  const selectKnown = database.prepare('SELECT 1 FROM tasks WHERE account = ? AND request_id = ? LIMIT 1')
  const selectTaskId = database.prepare(
    'SELECT 1 FROM tasks WHERE account = ? AND namespace = ? AND function_name = ? AND task_id = ?',
  )
  const insertTask = database.prepare(
    `INSERT INTO tasks (request_id, account, namespace, function_name, qualifier, task_id, accepted_at_ms, due_at_ms,
       expires_at_ms, max_retries, backoff_first_ms, backoff_longest_ms, keeps_details, plan, payload_bytes)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  )
  const insertPayload = database.prepare('INSERT INTO task_payloads (sequence, payload) VALUES (?, ?)')

  return (task, memory) => {
    const { account, namespace, functionName, requestId, taskId, acceptedAtMs, dueAtMs, payloadBytes } = task
    if (task.once === true && selectKnown.get(account, requestId) !== undefined) return undefined
    if (taskId !== undefined && selectTaskId.get(account, namespace, functionName, taskId) !== undefined)
      throw new EngineError('caller/task-exists', { taskId })
    const queue = queues.of(account, namespace, functionName)
    queues.requireRoom(queue, payloadBytes)
    const inserted = insertTask.run(
      requestId,
      account,
      namespace,
      functionName,
      task.qualifier ?? null,
      taskId ?? null,
      acceptedAtMs,
      dueAtMs,
      task.expiresAtMs,
      task.maxRetries,
      task.backoff?.firstMs ?? null,
      task.backoff?.longestMs ?? null,
      task.keepsDetails === true ? 1 : 0,
      formatPlan(task),
      payloadBytes,
    )
    insertPayload.run(
      inserted.lastInsertRowid,
      new Uint8Array(memory.arriving, task.payloadOffset, payloadBytes),
    )
    queues.count(queue, { accepted: 1, waiting: 1, liveBytes: payloadBytes })
    queues.lineUp(queue, {
      sequence: Number(inserted.lastInsertRowid),
      dueAtMs,
      acceptedAtMs,
      isLeased: false,
    })
    return undefined
  }
}
