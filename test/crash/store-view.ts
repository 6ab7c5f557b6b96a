import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { DeliveryRecord } from '../../src/store/outbox.ts'
import { SqliteStore } from '../../src/store/sqlite/sqlite-store.ts'
import type {
  ClaimedTask,
  QueueAudit,
  QueueCounters,
  TaskDetails,
  TaskRecord,
} from '../../src/store/task-queue.ts'

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

interface RunningRow {
  readonly requestId: string
  readonly lostRuns: number
  readonly isToStop: boolean
}

/** A queue as a dead server left it. */
export interface DeadQueue extends StoreView {
  /** Calls that ran when it died, from the rows themselves: opening a queue changes them. */
  readonly running: readonly RunningRow[]
  /** What the next server is handed out when it asks for all that is due, by request id. */
  readonly claimed: ReadonlyMap<string, ClaimedTask>
}

/** Looks at a copy of the queue as a dead server left it, so that the next one finds what that one wrote. */
export async function viewDeadQueue(dataDir: string, directory: string, account: string): Promise<DeadQueue> {
  mkdirSync(directory, { recursive: true })
  for (const suffix of ['', '-wal']) {
    const from = join(dataDir, DATABASE + suffix)
    if (existsSync(from)) copyFileSync(from, join(directory, DATABASE + suffix))
  }
  try {
    const running = runningRows(join(directory, DATABASE))
    return { running, ...(await viewStore(directory, account)), claimed: await claimAll(directory) }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function runningRows(file: string): readonly RunningRow[] {
  const database = new DatabaseSync(file)
  try {
    return database
      .prepare(`SELECT request_id, lost_runs, stop_requested_at_ms FROM tasks WHERE status = 'leased'`)
      .all()
      .map((row) => ({
        requestId: String(row['request_id']),
        lostRuns: Number(row['lost_runs']),
        isToStop: row['stop_requested_at_ms'] !== null,
      }))
  } finally {
    database.close()
  }
}

async function claimAll(directory: string): Promise<ReadonlyMap<string, ClaimedTask>> {
  const store = await SqliteStore.open({ file: join(directory, DATABASE) })
  try {
    // The queue's time may be ahead of the system's by what a start takes.
    const nowMs = Math.max(Date.now(), await store.tasks.latestMs())
    const tasks = await store.tasks.claim(PAGE, nowMs, 1, { maxRuns: PAGE })
    return new Map(tasks.map((task) => [task.requestId, task]))
  } finally {
    await store.close()
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
