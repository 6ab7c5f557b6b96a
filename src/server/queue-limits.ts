import type { Config } from '../config/schema.ts'

const MIB = 1024 * 1024
const DAY_MS = 24 * 3_600_000

/** What bounds the queue of asynchronous calls, and what is kept of them. */
export interface QueueSettings {
  readonly maxQueuedTasks: number
  readonly maxQueuedTasksPerFunction: number
  readonly maxQueuedBytes: number
  readonly maxEndedTasks: number
  readonly maxKeptBytes: number
  readonly retentionMs: number
}

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
