import type { DestinationWords, EndedTask } from '../../async/destination-words.ts'
import { failureOf } from '../../contracts/huawei-functiongraph.ts'
import { findFunction } from '../../definitions/find-function.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import type { InvokeTarget } from '../../model/invocation.ts'
import { shownFailureName } from '../../model/failure-name.ts'
import { toBuffer } from '../../model/payload.ts'
import { utf8Cut, utf8OrBase64 } from '../../model/utf8.ts'
import { DELIVERY_BYTES } from '../../store/outbox.ts'
import { RESULT_BYTES } from '../../store/task-queue.ts'
import { treatmentOf } from './async-settings.ts'
import { projectIdOf } from './ids.ts'
import { formatUrn } from './urn.ts'

/** Why a destination is told of a failure. Source of the first: the vendor's example; it names no others. */
const CONDITIONS = { failed: 'UnhandledInvocationError', expired: 'EventAgeExceeded' } as const

/**
 * What this API tells destinations, and how it treats the calls that functions get as destinations.
 *
 * Source of the shape: the vendor's user guide on asynchronous invocation, "destination".
 */
export function destinationWords({
  definitions,
  region,
}: {
  readonly definitions: Definitions
  readonly region: string
}): DestinationWords {
  return {
    bodyOf: (ended) => ({
      body: withinBounds(tellingOf(ended, definitions, region)),
      contentType: 'application/json',
    }),
    settingsOf: (target) => treatmentOf(definitions, target),
  }
}

interface Telling {
  readonly timestamp: string
  readonly request_context: Readonly<Record<string, unknown>>
  readonly request_payload: string
  readonly response_context: Readonly<Record<string, unknown>>
  readonly response_payload: string
}

function tellingOf(ended: EndedTask, definitions: Definitions, region: string): Telling {
  const { task, ending, attempts, lastError = '', outcome, endedAtMs } = ended
  const hasSucceeded = ending === 'succeeded'
  return {
    timestamp: formatNanoseconds(endedAtMs),
    request_context: {
      request_id: task.requestId,
      function_urn: urnOf(ended, definitions, region),
      condition: hasSucceeded ? '' : CONDITIONS[ending],
      approximate_invoke_count: attempts,
    },
    request_payload: utf8OrBase64(task.payload),
    response_context: {
      status_code: hasSucceeded ? 200 : 500,
      function_error: hasSucceeded ? '' : shownFailureName(lastError),
    },
    response_payload: answerOf(outcome),
  }
}

/** The beginning of what the function answered, or its failure in this API's words. */
function answerOf(outcome: EndedTask['outcome']): string {
  if (outcome === undefined) return ''
  const answer =
    outcome.kind === 'returned' ? toBuffer(outcome.payload) : Buffer.from(failureOf(outcome)?.body ?? '')
  return utf8OrBase64(answer.subarray(0, utf8Cut(answer, RESULT_BYTES)))
}

/** As JSON; characters that JSON writes as several may be many, so that what was answered is cut until there is room. */
function withinBounds(told: Telling): Buffer {
  for (let room = told.response_payload.length; ; room = Math.floor(room / 2)) {
    const body = Buffer.from(
      JSON.stringify({ ...told, response_payload: told.response_payload.slice(0, room) }),
    )
    if (body.length <= DELIVERY_BYTES || room === 0) return body
  }
}

/** With the version that ran; of a call that never did the one its qualifier leads to now. */
function urnOf({ task, outcome }: EndedTask, definitions: Definitions, region: string): string {
  const { account, namespace, functionName: name, qualifier } = task
  const target = { account, namespace, name, ...(qualifier === undefined ? {} : { qualifier }) }
  const found = outcome?.version ?? recordAt(definitions, target)
  const projectId = found?.facts['projectId'] ?? projectIdOf(account, region)
  return formatUrn({ region, projectId }, { namespace, name }, found?.version ?? qualifier)
}

function recordAt(
  definitions: Definitions,
  { account, namespace, name, qualifier }: InvokeTarget,
): { readonly version: string; readonly facts: Readonly<Record<string, string>> } | undefined {
  try {
    return findFunction(definitions, account, namespace, name, qualifier).value
  } catch {
    return undefined
  }
}

/** UTC with an offset and nanoseconds, which this server's times do not have. */
function formatNanoseconds(epochMs: number): string {
  return new Date(epochMs).toISOString().replace('Z', '000000+00:00')
}
