import { readFailureName } from '../model/failure-name.ts'
import type { FunctionVersion } from '../model/function.ts'
import type { Ending } from '../model/outcome.ts'
import { type Payload, toBuffer } from '../model/payload.ts'
import { readFailureBody } from './failure-body.ts'
import { MAX_BODY_BYTES } from './huawei-functiongraph-environment.ts'

/** The name of this contract in the registry. */
export const CONTRACT_NAME = 'huawei-functiongraph'

/**
 * The vendor's numbers for how a run ended. Sources: its republished runtimes and its open kernel; the last one also its
 * API reference.
 */
export const RUN_CODE = Object.freeze({
  success: 0,
  entryFailed: 4001,
  threw: 4002,
  resultTooLarge: 4004,
  resultInvalid: 4007,
  initializerThrew: 4009,
  timedOut: 4010,
  initFailed: 4201,
  initTimedOut: 4211,
  cancelled: 4208,
})

/** What the in-sandbox halves call results that cannot be answered: the error types of such outcomes. */
const TOO_LARGE = 'FunctionResponseTooLarge'
const INVALID = 'FunctionResultInvalid'

/** Error types by which they and the vendor's runtimes name what is no exception of the code. */
const CODE_OF_TYPE: ReadonlyMap<string, number> = new Map([
  [TOO_LARGE, RUN_CODE.resultTooLarge],
  [INVALID, RUN_CODE.resultInvalid],
  ['FunctionLoadError', RUN_CODE.entryFailed],
  ['FunctionConfigError', RUN_CODE.entryFailed],
])

/** An ending and the version it happened to: every {@link import('../model/outcome.ts').Outcome} is one. */
export type VersionEnding = Ending & { readonly version: FunctionVersion }

/** A run that failed, in the vendor's words. */
export interface RunFailure {
  /** One of {@link RUN_CODE}: `X-Func-Err-Code`, `error_code` of an asynchronous call. */
  readonly code: number
  /** Whether the function is to blame and not who called or ended it: `X-Is-Func-Err`. */
  readonly isFunctionFault: boolean
  /** JSON text with `errorMessage`, `errorType` and, where the code has thrown, `stackTrace`. */
  readonly body: string
}

/**
 * The vendor's number for an ending, 0 for success. Of code that failed there is no telling whether it is another contract's, so what
 * reached a callback counts as a failed entry there, too.
 *
 * The vendor has no number for a process that ended by itself or ran out of memory: they count as the code's exception.
 */
export function errorCodeOf(ending: Ending): number {
  switch (ending.kind) {
    case 'returned':
      return ending.payload.byteLength > MAX_BODY_BYTES ? RUN_CODE.resultTooLarge : RUN_CODE.success
    case 'threw':
      if (ending.errorType === TOO_LARGE) return RUN_CODE.resultTooLarge
      if (ending.errorType === INVALID) return RUN_CODE.resultInvalid
      return ending.handled ? RUN_CODE.entryFailed : RUN_CODE.threw
    case 'timedOut':
      return RUN_CODE.timedOut
    case 'crashed':
      return RUN_CODE.threw
    case 'initFailed':
      if (ending.reason === 'timedOut') return RUN_CODE.initTimedOut
      if (ending.reason === 'crashed') return RUN_CODE.initFailed
      return ending.phase === 'load' ? RUN_CODE.entryFailed : RUN_CODE.initializerThrew
    case 'cancelled':
    case 'terminated':
      return RUN_CODE.cancelled
  }
}

/** The vendor's number for a failure of which nothing but its name in a task's record is known: that of an exception where it names no other. */
export function errorCodeOfName(name: string): number {
  const failure = readFailureName(name)
  switch (failure.kind) {
    case 'threw':
      return CODE_OF_TYPE.get(failure.errorType) ?? RUN_CODE.threw
    case 'handled':
      return CODE_OF_TYPE.get(failure.errorType) ?? RUN_CODE.entryFailed
    case 'initializerThrew':
      return RUN_CODE.initializerThrew
    case 'timedOut':
      return RUN_CODE.timedOut
    case 'initTimedOut':
      return RUN_CODE.initTimedOut
    case 'initCrashed':
      return RUN_CODE.initFailed
    case 'exited':
    case 'signalled':
    case 'outOfMemory':
      return RUN_CODE.threw
  }
}

/**
 * The failure of a run, whatever contract its code was written for; undefined when it returned a result that can be answered.
 *
 * Failure bodies of this contract are kept as they are; those of another are told in this one's form. The sentences about the
 * process and its memory are the vendor's; those of the other endings that code cannot report itself are ours.
 */
export function failureOf(outcome: VersionEnding): RunFailure | undefined {
  const code = errorCodeOf(outcome)
  if (code === RUN_CODE.success) return undefined
  return { code, isFunctionFault: code !== RUN_CODE.cancelled, body: bodyOf(outcome) }
}

/** What the platform says about an ending that the code could not report itself; undefined where it did, or returned. */
export function platformFailure(ending: Ending): { errorMessage: string; errorType: string } | undefined {
  switch (ending.kind) {
    case 'returned':
      return ending.payload.byteLength > MAX_BODY_BYTES ? tooLarge(ending.payload) : undefined
    case 'threw':
      return undefined
    case 'timedOut':
      return {
        errorMessage: `function invocation timed out after ${ending.afterMs / 1000}s`,
        errorType: 'FunctionTimeoutError',
      }
    case 'crashed':
      return ending.cause === 'outOfMemory'
        ? { errorMessage: 'runtime memory limit exceeded', errorType: 'FunctionMemoryLimitError' }
        : exited
    case 'initFailed':
      if (ending.reason === 'threw') return undefined
      if (ending.reason === 'crashed') return exited
      return { errorMessage: 'function initialization timed out', errorType: 'FunctionTimeoutError' }
    case 'cancelled':
    case 'terminated':
      return { errorMessage: 'function invocation cancelled', errorType: 'FunctionCancelledError' }
  }
}

const exited = Object.freeze({
  errorMessage: 'runtime process is exited',
  errorType: 'FunctionProcessExitError',
})

function tooLarge({ byteLength }: Payload): { errorMessage: string; errorType: string } {
  return {
    errorMessage: `response body size ${byteLength} exceeds the limit of ${MAX_BODY_BYTES}`,
    errorType: TOO_LARGE,
  }
}

function bodyOf(outcome: VersionEnding): string {
  const failure = platformFailure(outcome)
  if (failure !== undefined) return jsonText(failure)
  if (outcome.kind !== 'threw' && outcome.kind !== 'initFailed') return ''
  const { payload, errorType, version } = outcome
  const read = readFailureBody(payload)
  if (version.contract === CONTRACT_NAME && read !== undefined) return toBuffer(payload).toString()
  const { message, type, stack } = read ?? { message: errorType, type: errorType, stack: undefined }
  const lines = typeof stack === 'string' ? stack.split('\n') : stack
  return jsonText({
    errorMessage: message,
    errorType: type || errorType,
    ...(lines === undefined ? {} : { stackTrace: lines }),
  })
}

/** As the vendor's runtimes print it. */
function jsonText(members: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(members, null, 4)
}
