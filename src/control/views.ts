import { isUtf8 } from 'node:buffer'
import type { DeliveryRecord } from '../store/outbox.ts'
import type { QueueControl, QueueCounters, TaskDetails, TaskRecord } from '../store/task-queue.ts'
import type { Content, DeliveryView, QueueView, TaskDetailsView, TaskView } from './api.ts'

/** Limits of functions for which nothing else is set. */
export type UsualLimits = Required<Pick<QueueControl, 'maxRuns' | 'maxTasks'>>

export function queueView(
  { next, control, ...counts }: QueueCounters,
  usual: UsualLimits,
  nowMs: number,
): QueueView {
  const { isPaused, ...set } = control
  const { accepted, waiting, running, succeeded, failed, expired, cancelled } = counts
  return {
    ...counts,
    isPaused,
    ...usual,
    ...set,
    set,
    nowMs,
    imbalance: accepted - (waiting + running + succeeded + failed + expired + cancelled),
    ...(next === undefined
      ? {}
      : {
          oldest: {
            ...next,
            ageMs: Math.max(0, nowMs - next.acceptedAtMs),
            overdueMs: Math.max(0, nowMs - next.dueAtMs),
          },
        }),
  }
}

export function taskView({ payload: _payload, ...task }: TaskRecord): TaskView {
  return task
}

/** @param delivery The telling of its end, where it is not delivered. */
export function taskDetailsView(
  details: TaskDetails,
  delivery: DeliveryRecord | undefined,
  withEvent: boolean,
): TaskDetailsView {
  const { payload, result, ...task } = details
  return {
    ...task,
    ...(delivery === undefined ? {} : { delivery: deliveryView(delivery) }),
    ...(result === undefined
      ? {}
      : {
          result: { ...result, payload: contentOf(result.payload), logTail: result.logTail.toString('utf8') },
        }),
    ...(withEvent && payload !== undefined ? { event: contentOf(payload) } : {}),
  }
}

export function deliveryView({ body, ...delivery }: DeliveryRecord): DeliveryView {
  return body === undefined ? delivery : { ...delivery, body: contentOf(body) }
}

function contentOf(bytes: Buffer): Content {
  return isUtf8(bytes) ? { text: bytes.toString('utf8') } : { base64: bytes.toString('base64') }
}
