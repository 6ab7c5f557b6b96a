import type { DatabaseSync } from 'node:sqlite'
import { EngineError } from '../../model/errors.ts'
import type { PayloadMemory } from './batch.ts'
import type { TaskToEnqueue } from './operations.ts'
import type { QueueTally } from './queue-tally.ts'

/**
 * Adds a task.
 *
 * @param memory Where the payloads of the whole batch arrive; the task says where its own is.
 * @throws {EngineError} `caller/task-exists`, `caller/queue-full`
 */
export type EnqueueTask = (task: TaskToEnqueue, memory: PayloadMemory) => undefined

export function prepareEnqueue(database: DatabaseSync, tally: QueueTally): EnqueueTask {
  const insertTask = database.prepare(
    `INSERT INTO tasks (request_id, account, namespace, function_name, qualifier, task_id, accepted_at_ms, due_at_ms,
       expires_at_ms, max_retries, backoff_first_ms, backoff_longest_ms, payload_bytes)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (account, namespace, function_name, task_id) WHERE task_id IS NOT NULL DO NOTHING`,
  )
  const insertPayload = database.prepare('INSERT INTO task_payloads (sequence, payload) VALUES (?, ?)')

  return (task, memory) => {
    const inserted = insertTask.run(
      task.requestId,
      task.account,
      task.namespace,
      task.functionName,
      task.qualifier ?? null,
      task.taskId ?? null,
      task.acceptedAtMs,
      task.dueAtMs,
      task.expiresAtMs,
      task.maxRetries,
      task.backoff?.firstMs ?? null,
      task.backoff?.longestMs ?? null,
      task.payloadBytes,
    )
    if (inserted.changes === 0) throw new EngineError('caller/task-exists', { taskId: task.taskId ?? '' })
    insertPayload.run(
      inserted.lastInsertRowid,
      new Uint8Array(memory.arriving, task.payloadOffset, task.payloadBytes),
    )
    tally.add(task.payloadBytes)
    return undefined
  }
}
