import { isIdle } from './function-queue.ts'
import type { FunctionQueues } from './function-queues.ts'
import type { IdleFunction, InputOf, OutputOf } from './operations.ts'

/** What forgets deleted functions; each runs inside the transaction of its batch. */
export interface ForgettingOperations {
  listIdleFunctions(input: InputOf<'listIdleFunctions'>): OutputOf<'listIdleFunctions'>
  followFunctions(input: InputOf<'followFunctions'>): number
}

export function prepareForgetting(queues: FunctionQueues): ForgettingOperations {
  return {
    listIdleFunctions({ offset, limit }) {
      const idle: IdleFunction[] = []
      let at = 0
      for (const queue of queues.all) {
        at += 1
        if (at <= offset || queue.name === '' || !isIdle(queue)) continue
        const { account, namespace, name, goneSinceMs } = queue
        idle.push({ account, namespace, name, wasGone: goneSinceMs !== undefined })
        if (idle.length === limit) return { idle, next: at }
      }
      return { idle }
    },

    followFunctions({ deleted, present, nowMs, goneBeforeMs }) {
      let count = 0
      for (const name of present) {
        const queue = queues.find(name)
        if (queue?.goneSinceMs !== undefined) queues.setGone(queue, undefined)
      }
      for (const name of deleted) {
        const queue = queues.find(name)
        if (queue === undefined || !isIdle(queue)) continue
        if (queue.goneSinceMs === undefined) queues.setGone(queue, nowMs)
        else if (queue.goneSinceMs < goneBeforeMs) {
          queues.forget(queue)
          count += 1
        }
      }
      return count
    },
  }
}
