import assert from 'node:assert/strict'
import type { NewDelivery } from '../../../src/store/outbox.ts'
import type { NewTask, Refusals, Backoff, TaskEnding } from '../../../src/store/task-queue.ts'
import type { Run } from './engine.ts'

/** A task that was accepted, as it should be. */
export interface KnownTask {
  readonly requestId: string
  readonly functionName: string
  readonly taskId: string | undefined
  readonly bytes: number
  readonly acceptedAtMs: number
  readonly expiresAtMs: number
  readonly maxRetries: number
  readonly backoff: Backoff | undefined
  readonly refusals: Refusals | undefined
  readonly destinations: NewTask['destinations']
  readonly causedBy: string | undefined
  state: 'waiting' | 'leased' | 'ended' | 'forgotten'
  /** Those it may have ended with; the store has chosen one when there is one. */
  endings: readonly TaskEnding[]
  endedAtMs: number
  dueAtMs: number
  claimedAtMs: number
  startedAtMs: number | undefined
  attempts: number
  deferrals: number
  lostRuns: number
  mayBeRunning: boolean
  lease: string | undefined
  /** Its stop is on disk. */
  isStopped: boolean
  isRedriven: boolean
  /** A write of what became of its run failed for another reason than a full disk. */
  isUnwritten: boolean
  /** Its ending is among those that are counted. */
  isCounted: boolean
}

export interface KnownFunction {
  isPaused: boolean
  maxRuns: number | undefined
  maxTasks: number | undefined
  accepted: number
  duplicates: number
  refusals: number
  repeats: number
  ended: Record<TaskEnding, number>
}

export interface KnownDelivery {
  readonly delivery: Omit<NewDelivery, 'body'> & { readonly body: string }
  state: 'live' | 'delivered' | 'undeliverable' | 'forgotten'
  lease: string | undefined
  endedAtMs: number
}

export const LIMITS = {
  maxQueuedTasks: 12,
  maxQueuedTasksPerFunction: 8,
  maxQueuedBytes: 300,
} as const
export const SHARE = { parallelRuns: 3, firstRuns: 2, parallelRunsPerFunction: 2 } as const
export const LEASE_MS = 30_000

/** What follows from the operations that were committed, one after another; throws at the first that should not have been. */
export class Ledger {
  readonly tasks: KnownTask[] = []
  readonly deliveries: KnownDelivery[] = []
  readonly functions = new Map<string, KnownFunction>()
  /** The latest moment that is on disk. */
  latestMs = 0
  /** Tasks whose stop was asked for, whether or not that is on disk. */
  readonly stopsAsked = new Set<string>()
  isDraining = false
  runs: ReadonlyMap<string, Run> = new Map()
  /** Every lease that was ever given. */
  readonly leases = new Set<string>()

  of(functionName: string): KnownFunction {
    const known = this.functions.get(functionName)
    if (known !== undefined) return known
    const made = {
      isPaused: false,
      maxRuns: undefined,
      maxTasks: undefined,
      accepted: 0,
      duplicates: 0,
      refusals: 0,
      repeats: 0,
      ended: { succeeded: 0, failed: 0, expired: 0, cancelled: 0 },
    }
    this.functions.set(functionName, made)
    return made
  }

  get live(): readonly KnownTask[] {
    return this.tasks.filter(({ state }) => state === 'waiting' || state === 'leased')
  }

  find(requestId: string): KnownTask | undefined {
    return this.tasks.find((task) => task.requestId === requestId)
  }

  holder(lease: string): KnownTask | undefined {
    return this.tasks.find((task) => task.state === 'leased' && task.lease === lease)
  }

  /** Everything a new process makes of what the one before left. */
  voidLeases(): void {
    for (const task of this.live) {
      if (task.state !== 'leased') continue
      if (task.isStopped) this.end(task, ['cancelled'], this.latestMs)
      else
        Object.assign(task, {
          state: 'waiting',
          dueAtMs: task.claimedAtMs,
          lostRuns: task.lostRuns + 1,
          mayBeRunning: true,
        })
    }
    for (const one of this.deliveries) one.lease = undefined
  }

  /** One more task was accepted. */
  add(task: Omit<NewTask, 'payload'>, bytes: number): void {
    assert.equal(this.find(task.requestId), undefined)
    this.of(task.functionName).accepted += 1
    this.wrote(task.acceptedAtMs)
    const { requestId, functionName, acceptedAtMs, expiresAtMs, maxRetries, dueAtMs } = task
    this.tasks.push({
      requestId,
      functionName,
      taskId: task.taskId,
      bytes,
      acceptedAtMs,
      expiresAtMs,
      maxRetries,
      backoff: task.backoff,
      refusals: task.refusals,
      destinations: task.destinations,
      causedBy: task.causedBy,
      state: 'waiting',
      endings: [],
      endedAtMs: 0,
      dueAtMs,
      claimedAtMs: 0,
      startedAtMs: undefined,
      attempts: 0,
      deferrals: 0,
      lostRuns: 0,
      mayBeRunning: false,
      lease: undefined,
      isStopped: false,
      isRedriven: false,
      isUnwritten: false,
      isCounted: false,
    })
  }

  /** This moment is on disk. */
  wrote(nowMs: number): void {
    this.latestMs = Math.max(this.latestMs, nowMs)
  }

  /** It has ended, in one of these ways. */
  end(task: KnownTask, endings: readonly TaskEnding[], nowMs: number): void {
    this.wrote(nowMs)
    Object.assign(task, { state: 'ended', endings, endedAtMs: nowMs, mayBeRunning: false })
  }
}
