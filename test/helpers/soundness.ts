import assert from 'node:assert/strict'
import { ControlClient, DoorClosed, OperationRefused } from '../../src/control/client.ts'
import { EngineError } from '../../src/model/errors.ts'
import type { QueueAudit, TaskOperations } from '../../src/store/task-queue.ts'

/** Fails when what a store counts of its calls is not what is there. */
export async function assertSound(tasks: Pick<TaskOperations, 'audit'>): Promise<void> {
  assertNothingOff(await tasks.audit())
}

/** As {@link assertSound}. A store that is closed, or that has failed, says nothing. */
export async function assertSoundUnlessOut(tasks: Pick<TaskOperations, 'audit'>): Promise<void> {
  try {
    await assertSound(tasks)
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== 'platform/store-failed') throw error
  }
}

/** As {@link assertSound}, of a server that runs. One that does not answer, or has no door, says nothing. */
export async function assertServerSound(dataDir: string): Promise<void> {
  const audit = await auditOf(dataDir)
  if (audit !== undefined) assertNothingOff(audit)
}

async function auditOf(dataDir: string): Promise<QueueAudit | undefined> {
  try {
    const client = await ControlClient.open(dataDir)
    try {
      return await client.ask<QueueAudit>({ path: ['audit'] })
    } finally {
      await client.close()
    }
  } catch (error) {
    if (error instanceof DoorClosed || error instanceof OperationRefused) return undefined
    throw error
  }
}

function assertNothingOff(audit: QueueAudit): void {
  const off = Object.entries(audit).filter(([, count]) => count !== 0)
  assert.deepEqual(Object.fromEntries(off), {}, 'the counters of asynchronous calls are off')
}
