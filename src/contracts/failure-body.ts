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
 * {@link MAX_READ_BYTES} is none, and members of another form count as missing. Where no type is told, it is the one that the stack
 * names. A frame that is a list of parts becomes a line `File "index.py", line 5, in handler` and one with its code.
 *
 * @returns undefined when the payload is no error body.
 */
export function readFailureBody(payload: Payload): FailureBody | undefined {
  if (payload.byteLength > MAX_READ_BYTES) return undefined
  let body: unknown
  try {
    body = JSON.parse(toBuffer(payload).toString())
  } catch {
    return undefined
  }
  if (!isRecord(body)) return undefined
  const { errorMessage: message, errorType, stackTrace } = body
  if (typeof message !== 'string') return undefined
  const stack = stackOf(stackTrace)
  const type = typeof errorType === 'string' ? errorType : typeNamedBy(stack ?? message)
  return { message, type, stack }
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

/** `ValueError` of a Python traceback, `TypeError` of a JavaScript stack; empty where the text is neither. */
function typeNamedBy(stack: string | readonly string[]): string {
  const lines = typeof stack === 'string' ? stack.split('\n') : stack
  const [first = ''] = lines
  if (first.trim() === TRACEBACK) {
    const lastFrame = lines.findLastIndex((line) => line.startsWith('  File "'))
    const ending = lines.slice(lastFrame + 1).find((line) => line !== '' && !line.startsWith(' '))
    return /^([A-Za-z_][\w.]*)(?::|$)/.exec(ending ?? '')?.[1] ?? ''
  }
  if (!lines.some((line) => /^\s+at /.test(line))) return ''
  return /^([A-Za-z_$][\w$]*)(?: \[[\w$]+\])?(?::|$)/.exec(first)?.[1] ?? ''
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object'
}
