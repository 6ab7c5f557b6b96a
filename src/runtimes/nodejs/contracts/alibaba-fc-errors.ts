import type { CallEnd, Failure } from '../call.ts'
import { RESULT_FLAG } from '../frames.ts'
import { LoadError, type LoadErrorKind } from '../loader.ts'
import { isError, textOf } from '../unknown.ts'

/** From nodejs18 on: results of promises, ES modules, the newer stack traces. */
export const PROMISE_GENERATION = 18

/** The largest result of a synchronous call. Source: the vendor's limits page, read 2025-11, "32 MB". */
export const MAX_RESULT_BYTES = 32 * 1024 * 1024

const UNHANDLED = 'FunctionUnhandledError'
const HANDLED = 'FunctionHandledError'

/** The error's name as the vendor reports a failed load. */
const LOAD_ERROR_TYPES: Record<LoadErrorKind, string | undefined> = {
  invalidHandlerName: 'InvalidHandleName',
  moduleNotFound: 'ImportModuleError',
  syntaxError: 'UserCodeSyntaxError',
  moduleThrew: undefined,
  handlerNotFound: 'HandlerNotFound',
}

/** `callback(error)`: the code reported its failure itself. */
export function handledEnd(error: unknown, generation: number): CallEnd {
  if (isError(error)) {
    const errorType = textOf(error.name)
    return {
      flag: RESULT_FLAG.handled,
      errorType,
      payload: errorBody(textOf(error.message), errorType, stackTrace(error, generation)),
    }
  }
  const errorMessage = textOf(error)
  const payload =
    generation >= PROMISE_GENERATION
      ? JSON.stringify({ errorMessage, errorType: HANDLED })
      : JSON.stringify({ errorMessage })
  return { flag: RESULT_FLAG.handled, errorType: HANDLED, payload }
}

/** A throw or a rejection. */
export function unhandledEnd(error: unknown, generation: number): CallEnd {
  const { errorType, body } = unhandledFailure(error, undefined, generation)
  return { flag: RESULT_FLAG.threw, errorType, payload: body }
}

/** What failed before the first call: the load or the initializer. */
export function failureOf(error: unknown, generation: number): Failure {
  if (!(error instanceof LoadError)) return unhandledFailure(error, undefined, generation)
  return unhandledFailure(error.cause ?? error, LOAD_ERROR_TYPES[error.kind], generation)
}

/** An exception that neither the handler nor its promise carried. Its stack is only in the log. */
export function uncaughtEnd(): CallEnd & Failure {
  const body = JSON.stringify({ errorMessage: `${UNHANDLED}: uncaughtException`, errorType: HANDLED })
  return { flag: RESULT_FLAG.threw, errorType: HANDLED, payload: body, body }
}

/**
 * In place of a result, or of an error body, over {@link MAX_RESULT_BYTES}.
 *
 * No published answer of the vendor for this case was found; name and text are those of its API for too large an event.
 */
export function tooLargeEnd(): CallEnd {
  const errorType = `${UNHANDLED}: EntityTooLarge`
  const errorMessage = `payload size exceeds maximum allowed size (${MAX_RESULT_BYTES} bytes)`
  return { flag: RESULT_FLAG.threw, errorType, payload: JSON.stringify({ errorMessage, errorType }) }
}

function unhandledFailure(error: unknown, name: string | undefined, generation: number): Failure {
  if (!isError(error)) {
    return {
      errorType: UNHANDLED,
      body: JSON.stringify({ errorMessage: textOf(error), errorType: UNHANDLED }),
    }
  }
  const errorType = `${UNHANDLED}: ${name ?? textOf(error.name)}`
  return { errorType, body: errorBody(textOf(error.message), errorType, stackTrace(error, generation)) }
}

function errorBody(errorMessage: string, errorType: string, trace: readonly string[]): string {
  return JSON.stringify({ errorMessage, errorType, stackTrace: trace })
}

function stackTrace(error: Error, generation: number): string[] {
  const { stack } = error
  if (typeof stack !== 'string') return []
  const lines = stack.split('\n')
  return generation >= PROMISE_GENERATION ? lines : lines.slice(1).map((line) => line.trim())
}
