import type { Config } from '../config/schema.ts'
import type { SqliteStoreOptions } from '../store/sqlite/sqlite-store.ts'

const MIB = 1024 * 1024
const DAY_MS = 24 * 3_600_000

/** What bounds the queue of asynchronous calls, and what is kept of them. */
export type QueueSettings = Required<
  Pick<
    SqliteStoreOptions,
    | 'maxQueuedTasks'
    | 'maxQueuedTasksPerFunction'
    | 'maxQueuedBytes'
    | 'maxEndedTasks'
    | 'maxKeptBytes'
    | 'retentionMs'
  >
>

/** The limits of the queue, as the settings of the server say them. */
export function queueLimitsOf(config: Config): QueueSettings {
  return {
    maxQueuedTasks: config.maxQueuedTasks,
    maxQueuedTasksPerFunction: config.maxQueuedTasksPerFunction,
    maxQueuedBytes: config.maxQueuedMib * MIB,
    maxEndedTasks: config.maxEndedTasks,
    maxKeptBytes: config.maxKeptMib * MIB,
    retentionMs: config.taskRetentionDays * DAY_MS,
  }
}
