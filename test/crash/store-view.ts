import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { DeliveryRecord } from '../../src/store/outbox.ts'
import { SqliteStore } from '../../src/store/sqlite/sqlite-store.ts'
import type { QueueAudit, QueueCounters, TaskDetails, TaskRecord } from '../../src/store/task-queue.ts'

const DATABASE = 'anvoke.db'
const PAGE = 1000

/** What an operator finds in a data directory that no server uses. */
export interface StoreView {
  readonly audit: QueueAudit
  readonly counters: readonly QueueCounters[]
  /** By request id. */
  readonly tasks: ReadonlyMap<string, TaskRecord>
  readonly deliveries: readonly DeliveryRecord[]
}

/** Looks at a copy of the queue as a dead server left it, so that the next one finds what that one wrote. */
export async function viewCopy(dataDir: string, directory: string, account: string): Promise<StoreView> {
  mkdirSync(directory, { recursive: true })
  for (const suffix of ['', '-wal']) {
    const from = join(dataDir, DATABASE + suffix)
    if (existsSync(from)) copyFileSync(from, join(directory, DATABASE + suffix))
  }
  try {
    return await viewStore(directory, account)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/**
 * Looks at the queue of a server that has ended.
 *
 * @param wantsDetails Whose history is needed, too.
 */
export async function viewStore(
  dataDir: string,
  account: string,
  wantsDetails: (task: TaskRecord) => boolean = () => false,
): Promise<StoreView & { readonly details: ReadonlyMap<string, TaskDetails> }> {
  const store = await SqliteStore.open({ file: join(dataDir, DATABASE) })
  try {
    const tasks = new Map<string, TaskRecord>()
    for (let after: string | undefined; ;) {
      const page = await store.tasks.list({ account, limit: PAGE, ...(after === undefined ? {} : { after }) })
      for (const task of page.tasks) tasks.set(task.requestId, task)
      after = page.next
      if (after === undefined) break
    }
    const details = new Map<string, TaskDetails>()
    for (const task of tasks.values()) {
      const found = wantsDetails(task) ? await store.tasks.details(account, task.requestId) : undefined
      if (found !== undefined) details.set(task.requestId, found)
    }
    const { deliveries } = await store.outbox.listDeliveries({ account, limit: PAGE })
    return {
      audit: await store.tasks.audit(),
      counters: await store.tasks.counters({ account }),
      tasks,
      details,
      deliveries,
    }
  } finally {
    await store.close()
  }
}
