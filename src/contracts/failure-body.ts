import { isJsonObject, parsedJson } from '../model/json.ts'
import { type Payload, toBuffer } from '../model/payload.ts'

/** What a function said about its own failure, whichever contract it was written for. */
export interface FailureBody {
  readonly message: string
  /** The error's name; empty when the body tells none. */
  readonly type: string
  /** One text, or one entry for each line; undefined when the body has none. */
  readonly stack: string | readonly string[] | undefined
}

/** Larger bodies are not looked into: parsing them would hold up the thread that serves calls. */
export const MAX_READ_BYTES = 1024 * 1024

/** The most entries kept of a stack that is a list. */
const MAX_STACK_ENTRIES = 1000

const TRACEBACK = 'Traceback (most recent call last):'

/**
 * Reads the error body that a contract's code made: `errorMessage`, and where they are there `errorType` and `stackTrace`.
 *
 * Tolerant, because the bytes are the code's: a body that is no JSON object, has no text as `errorMessage` or is larger than
 * {@link MAX_READ_BYTES} is none, and members of another form count as missing. Where no type is told, type and message are those that
 * the stack names. A frame that is a list of parts becomes a line `File "index.py", line 5, in handler` and one with its code.
 *
 * @returns undefined when the payload is no error body.
 */
export function readFailureBody(payload: Payload): FailureBody | undefined {
  if (payload.byteLength > MAX_READ_BYTES) return undefined
  const body = parsedJson(toBuffer(payload).toString())
  if (!isJsonObject(body)) return undefined
  const { errorMessage: message, errorType, stackTrace } = body
  if (typeof message !== 'string') return undefined
  const stack = stackOf(stackTrace)
  if (typeof errorType === 'string') return { message, type: errorType, stack }
  const named = errorNamedBy(stack ?? message)
  // Beside a stack that tells the error, the message of such a body is the platform's: the same for every error.
  return {
    message: stack === undefined ? message : (named?.message ?? message),
    type: named?.type ?? '',
    stack,
  }
}

function stackOf(trace: unknown): FailureBody['stack'] {
  if (typeof trace === 'string') return trace
  if (!Array.isArray(trace)) return undefined
  return trace.slice(0, MAX_STACK_ENTRIES).flatMap((entry: unknown) => linesOf(entry))
}

function linesOf(entry: unknown): readonly string[] {
  if (typeof entry === 'string') return [entry]
  if (!Array.isArray(entry)) return []
  const parts = entry.slice(0, 4).filter((part: unknown) => typeof part === 'string')
  if (parts.length === 0) return []
  const [code] = parts.slice(3)
  const place = parts.slice(0, 3).join(', ')
  return code === undefined ? [place] : [place, code]
}

/** Type and message at the end of a Python traceback or the beginning of a JavaScript stack; undefined where it is neither. */
function errorNamedBy(stack: string | readonly string[]): { type: string; message: string } | undefined {
  const lines = typeof stack === 'string' ? stack.split('\n') : stack
  if (lines[0]?.trim() === TRACEBACK) {
    const lastFrame = lines.findLastIndex((line) => line.startsWith('  File "'))
    const start = lines.findIndex((line, index) => index > lastFrame && line !== '' && !line.startsWith(' '))
    return start < 0 ? undefined : errorAt(lines.slice(start), PYTHON_ERROR)
  }
  const firstFrame = lines.findIndex((line) => /^\s+at /.test(line))
  return firstFrame < 0 ? undefined : errorAt(lines.slice(0, firstFrame), JAVASCRIPT_ERROR)
}

/** `type: message`, where the message may go on over the lines that follow. */
function errorAt(lines: readonly string[], pattern: RegExp): { type: string; message: string } | undefined {
  const [, type, message = ''] = pattern.exec(lines.join('\n').trimEnd()) ?? []
  return type === undefined ? undefined : { type, message }
}

const PYTHON_ERROR = /^([A-Za-z_][\w.]*)(?:: ?([^]*))?$/
const JAVASCRIPT_ERROR = /^([A-Za-z_$][\w$]*)(?: \[[\w$]+\])?(?:: ?([^]*))?$/
