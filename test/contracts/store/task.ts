import type { NewDelivery } from '../../../src/store/outbox.ts'
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

/** A delivery to a webhook, with the given members changed. */
export function newDelivery(changes: Partial<NewDelivery> = {}): NewDelivery {
  return {
    deliveryId: 'delivery-1',
    account: '1234567890123456',
    namespace: 'default',
    functionName: 'resize',
    requestId: 'request-1',
    on: 'success',
    destination: { dialect: 'any', target: { kind: 'webhook', url: 'https://example.com/' } },
    depth: 0,
    body: Buffer.from('{}'),
    contentType: 'application/json',
    createdAtMs: 0,
    ...changes,
  }
}
