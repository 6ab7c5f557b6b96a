import type { CallEnd, Failure } from '../call.ts'
import { RESULT_FLAG } from '../frames.ts'
import { LoadError } from '../loader.ts'
import { isError, plainText, textOf } from '../unknown.ts'

/** What precedes a message. Source: the vendor's runtime. */
const PREFIX = {
  entry: 'function entry exception, error: ',
  invocation: 'function invocation exception, error: ',
  initialization: 'function initialization exception, error: ',
  result: 'function result is invalid, error: ',
} as const

/** By these names the host's half knows results that cannot be answered. */
const RESULT_TOO_LARGE = 'FunctionResponseTooLarge'
const RESULT_INVALID = 'FunctionResultInvalid'

/** What a throw that is no Error is called. */
const NO_ERROR = 'UserFunctionError'

/** A failure that has no stack of code to show. */
interface Problem {
  readonly message: string
  readonly type: string
}

/** The code or the configuration does not make a function that can be called. */
export class EntryError extends Error {
  override readonly name: 'FunctionLoadError' | 'FunctionConfigError'

  constructor(name: 'FunctionLoadError' | 'FunctionConfigError', message: string) {
    super(message)
    this.name = name
  }
}

/** `callback(error)`: the code reported its failure itself. */
export function reportedEnd(error: unknown): CallEnd {
  const { message, type } = problemOf(error, 'Error')
  return end(RESULT_FLAG.handled, type, bodyText(PREFIX.entry + message, type))
}

/** A throw or a rejection. */
export function thrownEnd(error: unknown, codeDir: string): CallEnd & Failure {
  const { message, type } = problemOf(error, NO_ERROR)
  return end(
    RESULT_FLAG.threw,
    type,
    bodyText(PREFIX.invocation + message, type, framesOf(error, codeDir), codeDir),
  )
}

/** A result that JSON cannot express. */
export function invalidResultEnd(error: unknown): CallEnd {
  const { message, type } = problemOf(error, NO_ERROR)
  return end(RESULT_FLAG.threw, RESULT_INVALID, bodyText(PREFIX.result + message, type))
}

/** In place of a result, or of an error body, that is too large. */
export function tooLargeEnd(byteLength: number, limitBytes: number): CallEnd {
  const message = `response body size ${byteLength} exceeds the limit of ${limitBytes}`
  return end(RESULT_FLAG.threw, RESULT_TOO_LARGE, bodyText(message, RESULT_TOO_LARGE))
}

/** A failed load or, where `isInitializer`, what the initializer threw or reported. */
export function startFailure(
  error: unknown,
  isInitializer: boolean,
  handler: string,
  codeDir: string,
): Failure {
  const prefix = isInitializer ? PREFIX.initialization : PREFIX.entry
  const problem = error instanceof LoadError ? loadProblem(error, isInitializer, handler) : undefined
  const { message, type } = problem ?? problemOf(error, NO_ERROR)
  const hasStack = problem === undefined && isInitializer && !(error instanceof EntryError)
  const body = bodyText(prefix + message, type, hasStack ? framesOf(error, codeDir) : undefined, codeDir)
  return { errorType: type, body }
}

/** What the log shows of a failure: its message and the stack of the code. */
export function loggedText(error: unknown, codeDir: string): string {
  const shown = error instanceof LoadError ? (error.cause ?? error) : error
  const { message, type } = problemOf(shown, NO_ERROR)
  if (!isError(shown)) return message
  return hidden([message, `${type}: ${message}`, ...framesOf(shown, codeDir, false)].join('\n'), codeDir)
}

function loadProblem(error: LoadError, isInitializer: boolean, handler: string): Problem {
  const dot = handler.lastIndexOf('.')
  const module = `./${handler.slice(0, dot)}.js`
  const { cause } = error
  switch (error.kind) {
    case 'invalidHandlerName':
      return { type: 'FunctionConfigError', message: `invalid handler '${handler}'` }
    case 'handlerNotFound': {
      const role = isInitializer ? 'initializer' : 'handler'
      return {
        type: 'FunctionConfigError',
        message: `${role} '${handler.slice(dot + 1)}' not found in module '${module}'`,
      }
    }
    case 'moduleNotFound':
      return cause === undefined
        ? { type: 'FunctionLoadError', message: `not found module '${module}'` }
        : problemOf(cause, NO_ERROR)
    case 'syntaxError': {
      const { message, type } = problemOf(cause, NO_ERROR)
      const [place = ''] = isError(cause) ? (cause.stack ?? '').split('\n') : []
      return { type, message: `${message} (${place})` }
    }
    case 'moduleThrew':
      return problemOf(cause, NO_ERROR)
  }
}

function problemOf(error: unknown, unnamed: string): Problem {
  if (isError(error)) return { message: plainText(error.message), type: plainText(error.name) }
  return { message: textOf(error), type: unnamed }
}

/** The frames from the first one to the last one of the code: below are those that called it. */
function framesOf(error: unknown, codeDir: string, trimmed = true): string[] {
  if (!isError(error) || typeof error.stack !== 'string') return []
  const lines = error.stack.split('\n')
  const first = lines.findIndex((line) => line.startsWith('    at '))
  const last = lines.reduce((found, line, at) => (line.includes(codeDir) ? at : found), -1)
  const frames = first < 0 ? [] : lines.slice(first, last + 1)
  return trimmed ? frames.map((line) => line.trim()) : frames
}

/** Printed with four spaces, and with paths from the code's directory on, as in the vendor's runtime. */
function bodyText(
  errorMessage: string,
  errorType: string,
  stackTrace?: readonly string[],
  codeDir = '',
): string {
  const members =
    stackTrace === undefined ? { errorMessage, errorType } : { errorMessage, errorType, stackTrace }
  return hidden(JSON.stringify(members, null, 4), codeDir)
}

function hidden(text: string, codeDir: string): string {
  return codeDir === '' ? text : text.replaceAll(`file://${codeDir}`, '.').replaceAll(codeDir, '.')
}

function end(flag: number, errorType: string, body: string): CallEnd & Failure {
  return { flag, errorType, payload: body, body }
}
