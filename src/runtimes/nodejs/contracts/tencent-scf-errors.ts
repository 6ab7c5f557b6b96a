import type { CallEnd, Failure } from '../call.ts'
import { RESULT_FLAG } from '../frames.ts'
import { LoadError } from '../loader.ts'
import { OWN_DIRECTORY } from '../place.ts'
import { isError, plainText, textOf } from '../unknown.ts'

/** The largest result of a synchronous call. Source: the vendor's quota page, "6 MB"; counted as MiB by its runtimes. */
export const MAX_RESULT_BYTES = 6 * 1024 * 1024

/** What the engine is told of a throw that is no Error. */
const UNNAMED = 'UserCodeException'

/** A throw, a rejection, or an exception that nothing caught: the stack is the answer. */
export function thrownEnd(error: unknown, requestId: string): CallEnd & Failure {
  return exceptionEnd(RESULT_FLAG.threw, typeOf(error), traceOf(error), requestId)
}

/** `callback(error)` and what stands for it: the code reported its failure itself. */
export function reportedEnd(error: unknown, requestId: string): CallEnd & Failure {
  const trace = isError(error) ? traceOf(error) : `${traceOf(error)}(callback err is not instance of Error)`
  return exceptionEnd(RESULT_FLAG.handled, typeOf(error), trace, requestId)
}

/** A result that JSON cannot express. */
export function unserialisableEnd(error: unknown, requestId: string): CallEnd & Failure {
  const reason = isError(error) ? plainText(error.message) : traceOf(error)
  const trace = `stringify response to json failed: ${reason}`
  return exceptionEnd(RESULT_FLAG.threw, typeOf(error), trace, requestId)
}

/** In place of a result, or of an error body, over {@link MAX_RESULT_BYTES}. */
export function tooLargeEnd(requestId: string): CallEnd {
  const errorMessage = 'The size of response exceeds the upper limit (6MB)'
  const payload = bodyText({ errorCode: -1, errorMessage, requestId, statusCode: 407 })
  return { flag: RESULT_FLAG.threw, errorType: 'ResponseTooLarge', payload }
}

/** Code that cannot be had: 437 where the entry file is missing, 443 for everything else. */
export function loadFailure(error: unknown, requestId: string): Failure {
  const isEntryMissing =
    error instanceof LoadError &&
    (error.kind === 'invalidHandlerName' || (error.kind === 'moduleNotFound' && error.cause === undefined))
  // Where it was thrown is the bootstrap's own business, unless code threw it.
  const errorMessage =
    error instanceof LoadError && error.cause === undefined
      ? `Error: ${error.message}`
      : traceOf(error instanceof LoadError ? error.cause : error)
  return {
    errorType: isEntryMissing ? 'HandlerNotFound' : 'UserCodeError',
    body: bodyText({ errorCode: 1, errorMessage, requestId, statusCode: isEntryMissing ? 437 : 443 }),
  }
}

function exceptionEnd(
  flag: number,
  errorType: string,
  stackTrace: string,
  requestId: string,
): CallEnd & Failure {
  const errorMessage = 'user code exception caught'
  const body = bodyText({ errorCode: 1, errorMessage, requestId, stackTrace, statusCode: 430 })
  return { flag, errorType, payload: body, body }
}

/** Members in alphabetical order, and characters that matter in HTML escaped, as the vendor's platform writes them. */
function bodyText(members: {
  readonly errorCode: number
  readonly errorMessage: string
  readonly requestId: string
  readonly stackTrace?: string
  readonly statusCode: number
}): string {
  return JSON.stringify(members, Object.keys(members).sort()).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function typeOf(error: unknown): string {
  if (!isError(error)) return UNNAMED
  const { name } = error
  return typeof name === 'string' && name !== '' ? name : UNNAMED
}

/** The stack; `null` of an Error without one, as with the vendor; of anything else its text. */
function traceOf(error: unknown): string {
  if (isError(error)) {
    const { stack } = error
    if (typeof stack !== 'string') return 'null'
    const lines = stack.split('\n')
    // Frames of the bootstrap lead into the code and say nothing about it.
    return lines.filter((line) => !/^\s+at /.test(line) || !line.includes(OWN_DIRECTORY)).join('\n')
  }
  return textOf(error)
}
