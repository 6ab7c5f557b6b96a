import { failureSentence } from '../../contracts/alibaba-fc.ts'
import { readFailureBody } from '../../contracts/failure-body.ts'
import { TIMER_SLACK_MS } from '../../engine/deadline.ts'
import { readFailureName, shownFailureName } from '../../model/failure-name.ts'
import type { Ending, Outcome } from '../../model/outcome.ts'
import { payloadOf, toBuffer, type Payload } from '../../model/payload.ts'
import type { TaskDetails, TaskResult } from '../../store/task-queue.ts'
import { DIALECT } from './own-extras.ts'

type Failed = Exclude<Outcome, { kind: 'returned' | 'cancelled' }>

/** How a failed run is told: its error type and a JSON body, made here where the code could not make one. */
export function failedRun(outcome: Failed): { readonly errorType: string; readonly body: Payload } {
  if (outcome.kind === 'threw') {
    const errorType = outcome.handled ? 'HandledInvocationError' : 'UnhandledInvocationError'
    return { errorType, body: bodyOf(outcome) ?? errorBody('', outcome.errorType) }
  }
  const sentence = (): Payload => errorBody(failureSentence(outcome, outcome) ?? '')
  if (outcome.kind !== 'initFailed') return { errorType: 'UnhandledInvocationError', body: sentence() }
  return {
    // Code that cannot be loaded is a failed call; only the initializer has an error type of its own.
    errorType: outcome.phase === 'initializer' ? 'InitializationError' : 'UnhandledInvocationError',
    body: bodyOf(outcome) ?? sentence(),
  }
}

/**
 * The body of a task's last run as it is kept: what the code said, else what {@link failedRun} makes where the code could not say anything.
 *
 * @returns undefined when there is none: it answered nothing, or was ended by somebody.
 */
export function keptBody(task: Pick<TaskDetails, 'result' | 'lastError' | 'requestId'>): string | undefined {
  const { result, lastError = '', requestId } = task
  if (result === undefined) return undefined
  if (result.payload.length > 0) return result.payload.toString()
  const ending = keptEnding(result, lastError)
  if (ending === undefined) return undefined
  if (ending.kind === 'threw') return toBuffer(errorBody('', ending.errorType)).toString()
  const figures = { ...result, version: { timeoutMs: wholeSecondsOf(result) } }
  const sentence = failureSentence(ending, figures)
  const told = sentence === undefined ? '' : (loggedSentence(result, requestId) ?? sentence)
  return toBuffer(errorBody(told)).toString()
}

type KeptEnding = Exclude<Ending, { kind: 'returned' | 'cancelled' | 'terminated' }>

/** How a run without a body failed, from its kind and the name of its failure. */
function keptEnding(result: TaskResult, lastError: string): KeptEnding | undefined {
  const failure = readFailureName(lastError)
  const payload = payloadOf('')
  switch (result.kind) {
    case 'threw':
      return {
        kind: 'threw',
        errorType: shownFailureName(lastError),
        handled: failure.kind === 'handled',
        payload,
      }
    case 'timedOut':
      return { kind: 'timedOut', afterMs: wholeSecondsOf(result) }
    case 'crashed':
      return { kind: 'crashed', cause: failure.kind === 'outOfMemory' ? 'outOfMemory' : 'exited' }
    case 'initFailed':
      return { kind: 'initFailed', phase: 'load', reason: initReasonOf(failure.kind), errorType: '', payload }
    default:
      return undefined
  }
}

function initReasonOf(name: string): 'timedOut' | 'crashed' | 'threw' {
  return name === 'initTimedOut' ? 'timedOut' : name === 'initCrashed' ? 'crashed' : 'threw'
}

/** The limit that a run came to, where its log does not say: limits are whole seconds, and the run takes a little longer. */
function wholeSecondsOf({ durationMs }: TaskResult): number {
  return Math.max(1, Math.floor((durationMs + TIMER_SLACK_MS) / 1000)) * 1000
}

/** What the last line about the call in its log says; it is the contract's, written after all that the code wrote. */
function loggedSentence({ logTail }: TaskResult, requestId: string): string | undefined {
  const log = logTail.toString()
  const opening = `FC Invoke End RequestId: ${requestId}, Error: `
  const at = log.lastIndexOf(opening)
  return at < 0 ? undefined : log.slice(at + opening.length).split('\n', 1)[0]
}

/**
 * What the code said about its failure: as it is from code written for this vendor, else in the members that this vendor's
 * clients know.
 *
 * @returns undefined when it said nothing: clients parse the body of a failed call, an empty one would break them.
 */
function bodyOf({ payload, errorType, version }: Extract<Failed, { payload: Payload }>): Payload | undefined {
  if (payload.byteLength === 0) return undefined
  if (version.contract === DIALECT) return payload
  const said = readFailureBody(payload)
  if (said === undefined) return payload
  const { message, type, stack } = said
  return errorBody(message, type || errorType, typeof stack === 'string' ? stack.split('\n') : stack)
}

function errorBody(errorMessage: string, errorType?: string, stackTrace?: readonly string[]): Payload {
  return payloadOf(JSON.stringify({ errorMessage, errorType, stackTrace }))
}
