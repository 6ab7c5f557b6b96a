import { join } from 'node:path'
import { newRequestId } from '../../src/model/request-id.ts'
import { SqliteStore } from '../../src/store/sqlite/sqlite-store.ts'

/** Enqueued before the next are: a few batches of the store, each one transaction. */
const CALLS_AT_ONCE = 4000
const DAY_MS = 24 * 3_600_000

/** Whose queue is filled. */
export interface Owner {
  readonly account: string
  readonly namespace: string
  readonly functionName: string
}

/**
 * Fills the queue of a function with calls that are due and wait, as it is paused. Through the store itself: a server that runs must not
 * have the directory open.
 *
 * @param payload The event of each.
 * @param untilMs `performance.now()` at which no more are made: a slow disk is not to take hours.
 * @returns How many they are, and ids of some of them, spread over all.
 */
export async function fillQueue(
  dataDir: string,
  owner: Owner,
  count: number,
  payload: Buffer,
  untilMs: number,
  signal: AbortSignal,
): Promise<{ readonly made: number; readonly ids: readonly string[] }> {
  const store = await SqliteStore.open({ file: join(dataDir, 'anvoke.db'), maxQueuedTasks: 2 * count })
  const { account, namespace, functionName } = owner
  const ids: string[] = []
  let made = 0
  const keepsEvery = Math.max(1, Math.floor(count / 1000))
  try {
    await store.tasks.control({ account, namespace, name: functionName }, { isPaused: true })
    while (made < count && performance.now() < untilMs) {
      signal.throwIfAborted()
      const size = Math.min(CALLS_AT_ONCE, count - made)
      const acceptedAtMs = Date.now()
      await Promise.all(
        Array.from({ length: size }, (_, index) => {
          const requestId = newRequestId()
          if ((made + index) % keepsEvery === 0) ids.push(requestId)
          return store.tasks.enqueue({
            requestId,
            account,
            namespace,
            functionName,
            taskId: requestId,
            payload,
            acceptedAtMs,
            dueAtMs: acceptedAtMs,
            maxRetries: 3,
            expiresAtMs: acceptedAtMs + DAY_MS,
            keepsDetails: true,
            source: 'stateful',
          })
        }),
      )
      made += size
    }
  } finally {
    await store.close()
  }
  return { made, ids }
}
