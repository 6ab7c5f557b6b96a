import type { IncomingHttpHeaders } from 'node:http'
import { QuotaExceeded } from '../../definitions/quotas.ts'
import type { Refusal, Reply } from '../../http/exchange.ts'
import { IntakeError } from '../../intake/intake-error.ts'
import { EngineError } from '../../model/errors.ts'
import { payloadOf } from '../../model/payload.ts'
import { PackageError } from '../../store/packages/package-error.ts'
import { RevisionConflict } from '../../store/definition-store.ts'
import { ScfError, scfErrorOf } from './errors.ts'
import { scfErrorOfIntake, scfErrorOfPackage } from './intake-errors.ts'
import { legacyCodeOf } from './legacy-codes.ts'
import { TopLevel, type Api, type JsonObject } from './operation.ts'

/**
 * The header of every answer. Clients compare it as it is: with a charset behind it the Python SDK takes errors for
 * empty successes.
 */
const JSON_TYPE = 'application/json'

/** What may be echoed of a trace id: it becomes a header again. */
const TRACE_ID = /^[\x21-\x7e]{1,256}$/

/** Ids that an answer carries. */
export interface Trace {
  readonly requestId: string
  /** As the client sent it; absent when it sent none, or none that can be echoed. */
  readonly traceId?: string
}

export function traceOf(requestId: string, headers: IncomingHttpHeaders): Trace {
  const traceId = headers['x-tc-traceid']
  return typeof traceId === 'string' && TRACE_ID.test(traceId) ? { requestId, traceId } : { requestId }
}

/** A success in the envelope of the API that was called. */
export function answerReply(api: Api, answer: JsonObject | TopLevel, trace: Trace): Reply {
  const { requestId } = trace
  if (api === '3.0') {
    const members = answer instanceof TopLevel ? answer.members : answer
    return jsonReply({ Response: { ...members, RequestId: requestId } }, trace)
  }
  const success = { code: 0, message: '', codeDesc: 'Success' }
  if (answer instanceof TopLevel) return jsonReply({ ...success, ...answer.members }, trace)
  const isEmpty = Object.keys(answer).length === 0
  return jsonReply(isEmpty ? success : { ...success, data: answer }, trace)
}

/** A failure in the envelope of the API that was called. */
export function failureReply(api: Api, { code, message }: ScfError, trace: Trace): Reply {
  return jsonReply(
    api === '3.0'
      ? { Response: { Error: { Code: code, Message: message }, RequestId: trace.requestId } }
      : { ...legacyFailure(code, message) },
    trace,
  )
}

/** A refusal of the listener's, in both envelopes at once: which API was called is not known then. */
export function refusalReply({ status, message }: Refusal, trace: Trace): Reply {
  const code =
    status === 413 || status === 414 || status === 431
      ? 'RequestSizeLimitExceeded'
      : status >= 500
        ? 'InternalError'
        : 'InvalidRequest'
  const Response = { Error: { Code: code, Message: message }, RequestId: trace.requestId }
  return jsonReply({ ...legacyFailure(code, message), Response }, trace)
}

/** What an exception tells the client, and whether the operator should hear of it. */
export function failureOf(error: unknown): { readonly refusal: ScfError; readonly unexpected: boolean } {
  if (error instanceof ScfError) return { refusal: error, unexpected: false }
  if (error instanceof EngineError) return { refusal: scfErrorOf(error), unexpected: false }
  if (error instanceof QuotaExceeded)
    return { refusal: new ScfError('LimitExceeded', error.message), unexpected: false }
  if (error instanceof IntakeError) return { refusal: scfErrorOfIntake(error), unexpected: false }
  if (error instanceof PackageError)
    return { refusal: scfErrorOfPackage(error), unexpected: error.code === 'intake-failed' }
  if (error instanceof RevisionConflict)
    return {
      refusal: new ScfError(
        'FailedOperation.OperationConflict',
        'the resource was changed by another request; retry',
      ),
      unexpected: false,
    }
  return {
    refusal: new ScfError('InternalError', 'an internal error has occurred; please retry'),
    unexpected: true,
  }
}

function legacyFailure(code: ScfError['code'], message: string): JsonObject {
  const legacy = legacyCodeOf(code)
  return { code: legacy.code, message: `(${code})${message}`, codeDesc: legacy.codeDesc }
}

/** Whatever happened, the status is 200: clients drop the code of any other. */
function jsonReply(body: object, { traceId }: Trace): Reply {
  return {
    status: 200,
    headers:
      traceId === undefined
        ? { 'Content-Type': JSON_TYPE }
        : { 'Content-Type': JSON_TYPE, 'X-TC-TraceId': traceId },
    body: payloadOf(JSON.stringify(body)),
  }
}
