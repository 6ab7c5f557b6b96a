import type { DestinationWords, EndedTask } from '../../async/destination-words.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import type { Outcome } from '../../model/outcome.ts'
import { payloadBeginning, type Payload } from '../../model/payload.ts'
import { DELIVERY_BYTES } from '../../store/outbox.ts'
import { RESULT_BYTES } from '../../store/task-queue.ts'
import { asyncSettingsOf, taskMembers } from './async-settings.ts'
import { fcCodeOf, STATUS_OF } from './errors.ts'
import { failedRun } from './failed-run.ts'
import { functionArn } from './names.ts'
import { errorOf } from './task-states.ts'

/** The `condition` of a task that grew too old. The vendor publishes no name for it. */
const TOO_OLD = 'EventAgeExceeded'

/** How endings are told in this API. */
export function destinationWords(deps: {
  readonly definitions: Definitions
  readonly region: string
}): DestinationWords {
  return {
    bodyOf: (ended) => ({ body: bodyOf(ended, deps.region), contentType: 'application/json' }),
    settingsOf(target) {
      const { policy, isStateful, destinations } = asyncSettingsOf(deps.definitions, target)
      return {
        policy,
        ...taskMembers(isStateful),
        // Source: the vendor's task mode: a task without an id of its own goes by its request id.
        ...(isStateful ? { hasTaskId: true } : {}),
        ...(destinations === undefined ? {} : { destinations }),
      }
    },
  }
}

/** The record of the vendor's destinations. Bytes that are no text double and more as JSON: then a payload is left out. */
function bodyOf(ended: EndedTask, region: string): Buffer {
  const { task, attempts, endedAtMs } = ended
  const response = responseOf(ended)
  const record = {
    timestamp: endedAtMs,
    requestContext: {
      requestId: task.requestId,
      functionArn: functionArn(region, task.account, task.namespace, task.functionName, task.qualifier),
      condition: conditionOf(ended),
      approximateInvokeCount: attempts,
    },
    requestPayload: task.payload.toString(),
    responseContext: { statusCode: response.statusCode, functionError: response.functionError },
    responsePayload: response.payload === undefined ? '' : payloadBeginning(response.payload, RESULT_BYTES),
  }
  const body = Buffer.from(JSON.stringify(record))
  if (body.length <= DELIVERY_BYTES) return body
  const shorter = Buffer.from(JSON.stringify({ ...record, responsePayload: '' }))
  return shorter.length <= DELIVERY_BYTES
    ? shorter
    : Buffer.from(JSON.stringify({ ...record, requestPayload: '', responsePayload: '' }))
}

/** Empty after a success. */
function conditionOf({ ending, lastError, outcome }: EndedTask): string {
  if (ending === 'succeeded') return ''
  if (ending === 'expired') return TOO_OLD
  if (outcome !== undefined && hasFailed(outcome)) return failedRun(outcome).errorType
  return errorOf(lastError) ?? 'InternalServerError'
}

interface Response {
  /** 200 when the function ran, whatever it did. */
  readonly statusCode: number
  readonly functionError: string
  /** Of it the beginning is told. */
  readonly payload?: Payload
}

function responseOf({ outcome, lastError }: EndedTask): Response {
  if (outcome?.kind === 'returned') return { statusCode: 200, functionError: '', payload: outcome.payload }
  if (outcome !== undefined && hasFailed(outcome)) {
    const { errorType, body } = failedRun(outcome)
    return { statusCode: 200, functionError: errorType, payload: body }
  }
  const code = fcCodeOf(lastError ?? '') ?? 'InternalServerError'
  return { statusCode: STATUS_OF[code], functionError: '' }
}

type Failed = Parameters<typeof failedRun>[0]

function hasFailed(outcome: Outcome): outcome is Failed {
  return outcome.kind !== 'returned' && outcome.kind !== 'cancelled'
}
