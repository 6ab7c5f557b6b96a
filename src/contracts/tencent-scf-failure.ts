import type { FunctionVersion } from '../model/function.ts'
import { isJsonObject, parsedJson } from '../model/json.ts'
import type { Ending } from '../model/outcome.ts'
import { type Payload, toBuffer } from '../model/payload.ts'
import { utf8OrBase64 } from '../model/utf8.ts'
import { MAX_READ_BYTES, readFailureBody } from './failure-body.ts'

/** The largest result of a synchronous call. Source: the vendor's quota page, "6 MB"; counted as MiB by its runtimes. */
export const MAX_RESULT_BYTES = 6 * 1024 * 1024

/** The name of this contract in the registry. */
export const CONTRACT_NAME = 'tencent-scf'

/** A run that failed, in the vendor's words. */
export interface RunFailure {
  /** 1 where the code failed, -1 where the platform ended it. Also the `InvokeResult` of an answer. */
  readonly errorCode: number
  /** The vendor's invocation status code: 430 user exception, 433 timeout, 439 exit and so on. */
  readonly statusCode: number
  /** JSON text, members in alphabetical order: the `RetMsg` and `ErrMsg` of an answer, the `Result` of the log's ERROR line. */
  readonly body: string
}

/** An ending and the version it happened to: every {@link import('../model/outcome.ts').Outcome} is one. */
export type VersionEnding = Ending & { readonly version: FunctionVersion }

/** What the APIs tell of a run, whichever way it ended. */
export interface RunAnswer {
  /** 0 for success. */
  readonly invokeResult: number
  /** 200 for success. */
  readonly statusCode: number
  /** The result, or the failure body. */
  readonly retMsg: string
  /** Empty for success, else the failure body. */
  readonly errMsg: string
}

interface FailureMembers {
  readonly errorCode: number
  readonly errorMessage: string
  readonly requestId: string
  readonly stackTrace?: string
  readonly statusCode: number
}

const USER_EXCEPTION = 'user code exception caught'

/**
 * The failure of a run, whatever contract its code was written for; undefined when it returned a result.
 *
 * Failure bodies of this contract are kept as they are. Those of another are told in this one's form: type, message and stack are the
 * `stackTrace`. Sentences published by the vendor: user exception, timeout, exit. Those of the other endings are ours, with the vendor's
 * names for their status codes. A result over {@link MAX_RESULT_BYTES} is a failure, too, as functions of other contracts may
 * return more.
 *
 * @param requestId The id that the body names.
 */
export function failureOf(outcome: VersionEnding, requestId: string): RunFailure | undefined {
  const platform = (statusCode: number, errorMessage: string): RunFailure =>
    failure({ errorCode: -1, errorMessage, requestId, statusCode })
  switch (outcome.kind) {
    case 'returned':
      if (outcome.payload.byteLength <= MAX_RESULT_BYTES) return undefined
      return platform(407, 'The size of response exceeds the upper limit (6MB)')
    case 'threw':
      return told(outcome, outcome.version, requestId, 430)
    case 'timedOut':
      return platform(433, `Invoking task timed out after ${outcome.afterMs / 1000} seconds`)
    case 'crashed':
      return outcome.cause === 'outOfMemory'
        ? platform(434, 'Memory limit exceeded')
        : platform(439, 'User process exit when running')
    case 'initFailed':
      if (outcome.reason === 'threw') return told(outcome, outcome.version, requestId, 443)
      return outcome.reason === 'timedOut'
        ? platform(450, 'Function initialization timed out')
        : platform(439, 'User process exit when running')
    case 'cancelled':
    case 'terminated':
      return platform(499, 'Request canceled')
  }
}

/** What the APIs answer for a run: its result or its failure, twice. */
export function answerOf(outcome: VersionEnding, requestId: string): RunAnswer {
  const failed = failureOf(outcome, requestId)
  if (failed !== undefined) {
    const { errorCode, statusCode, body } = failed
    return { invokeResult: errorCode, statusCode, retMsg: body, errMsg: body }
  }
  const retMsg = outcome.kind === 'returned' ? utf8OrBase64(toBuffer(outcome.payload)) : ''
  return { invokeResult: 0, statusCode: 200, retMsg, errMsg: '' }
}

function told(
  { payload, errorType }: { readonly payload: Payload; readonly errorType: string },
  { contract }: FunctionVersion,
  requestId: string,
  statusCode: 430 | 443,
): RunFailure {
  const own = contract === CONTRACT_NAME ? ownFailure(payload, requestId) : undefined
  if (own !== undefined) return own
  const trace = traceOf(payload, errorType)
  return statusCode === 443
    ? failure({ errorCode: 1, errorMessage: trace, requestId, statusCode })
    : failure({ errorCode: 1, errorMessage: USER_EXCEPTION, requestId, stackTrace: trace, statusCode })
}

/** A body that this contract's runtimes made. One that was made for several calls at once gets the id of this one. */
function ownFailure(payload: Payload, requestId: string): RunFailure | undefined {
  if (payload.byteLength > MAX_READ_BYTES) return undefined
  const text = toBuffer(payload).toString()
  const members = parsedJson(text)
  if (!isJsonObject(members)) return undefined
  const { errorCode, errorMessage, stackTrace, statusCode } = members
  if (!Number.isInteger(errorCode) || !Number.isInteger(statusCode)) return undefined
  if (members['requestId'] === requestId)
    return { errorCode: Number(errorCode), statusCode: Number(statusCode), body: text }
  return failure({
    errorCode: Number(errorCode),
    errorMessage: typeof errorMessage === 'string' ? errorMessage : USER_EXCEPTION,
    requestId,
    ...(typeof stackTrace === 'string' ? { stackTrace } : {}),
    statusCode: Number(statusCode),
  })
}

/** Type, message and stack of another contract's body in one text; of one that cannot be read, its beginning. */
function traceOf(payload: Payload, errorType: string): string {
  const read = readFailureBody(payload)
  if (read === undefined) {
    const text = utf8OrBase64(toBuffer(payload)).slice(0, MAX_READ_BYTES)
    return text === '' ? errorType : text
  }
  const { message, type, stack = '' } = read
  const lines = typeof stack === 'string' ? stack : stack.join('\n')
  if (message !== '' && lines.includes(message)) return lines
  const headline = [type || errorType, message].filter((part) => part !== '').join(': ')
  return lines === '' ? headline : `${headline}\n${lines}`
}

function failure(members: FailureMembers): RunFailure {
  const { errorCode, statusCode } = members
  return { errorCode, statusCode, body: jsonText(members) }
}

/** As the vendor's platform writes JSON: characters that matter in HTML are escaped. */
function jsonText(members: FailureMembers): string {
  return JSON.stringify(members, Object.keys(members).sort()).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
