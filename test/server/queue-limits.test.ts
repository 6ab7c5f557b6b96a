import { expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import type { SettingKey } from '../../src/config/schema.ts'
import { queueLimitsOf } from '../../src/server/queue-limits.ts'

test('each setting of the queue is the limit that it names, in the units of the store', async () => {
  const flags = new Map<SettingKey, string>([
    ['maxQueuedTasks', '11'],
    ['maxQueuedTasksPerFunction', '12'],
    ['maxQueuedMib', '13'],
    ['maxEndedTasks', '14'],
    ['maxKeptMib', '15'],
    ['taskRetentionDays', '16'],
  ])
  const host = { dataDir: '/d', cores: 1, memoryBytes: 2 ** 30 }
  const { config } = await loadConfig({ flags, environment: {}, cwd: '/', host })
  expect(queueLimitsOf(config)).toEqual({
    maxQueuedTasks: 11,
    maxQueuedTasksPerFunction: 12,
    maxQueuedBytes: 13 * 1024 * 1024,
    maxEndedTasks: 14,
    maxKeptBytes: 15 * 1024 * 1024,
    retentionMs: 16 * 24 * 3_600_000,
  })
})
