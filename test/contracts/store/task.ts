import type { NewTask } from '../../../src/store/task-queue.ts'

/** A task that is due at 0 and never expires, with the given members changed. */
export function newTask(changes: Partial<NewTask> = {}): NewTask {
  return {
    requestId: 'request-1',
    account: '1234567890123456',
    namespace: 'default',
    functionName: 'resize',
    payload: Buffer.from('{}'),
    acceptedAtMs: 0,
    dueAtMs: 0,
    maxRetries: 3,
    expiresAtMs: Number.MAX_SAFE_INTEGER,
    ...changes,
  }
}
