import { failureSentence } from '../../contracts/alibaba-fc.ts'
import { readFailureBody } from '../../contracts/failure-body.ts'
import type { Outcome } from '../../model/outcome.ts'
import { payloadOf, type Payload } from '../../model/payload.ts'
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
