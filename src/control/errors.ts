import { EngineError, type EngineErrorCode, type EngineErrorDetails } from '../model/errors.ts'

/** Refusals of the door itself, with their HTTP statuses. */
const OWN_STATUS = {
  'caller/malformed': 400,
  'caller/operation-unknown': 404,
  'caller/account-not-found': 404,
  'caller/task-not-found': 404,
  'caller/task-ambiguous': 409,
  'caller/method-not-allowed': 405,
  'caller/time-out': 408,
  'caller/body-too-large': 413,
  'caller/not-json': 415,
  'caller/head-too-large': 431,
  'platform/fault': 500,
} as const

type OwnErrorCode = keyof typeof OWN_STATUS

/** Every code that the door answers with. */
export type ControlErrorCode = OwnErrorCode | EngineErrorCode

/** Why an operation was not done. */
export class ControlError extends Error {
  override readonly name = 'ControlError'
  readonly code: OwnErrorCode | 'caller/function-not-found' | 'caller/namespace-not-found'
  /** What to do about it. */
  readonly fix: string | undefined
  /** The methods that there are instead. */
  readonly allow: string | undefined

  constructor(code: ControlError['code'], message: string, more: { fix?: string; allow?: string } = {}) {
    super(message)
    this.code = code
    this.fix = more.fix
    this.allow = more.allow
  }
}

interface Row<C extends EngineErrorCode> {
  readonly status: number
  readonly message: (details: EngineErrorDetails[C]) => string
  readonly fix?: string
}

const LATER = 'try again later'

/** What an administrator is told of each error of the engine and the stores; those of calls alone never come here. */
const ENGINE: { readonly [C in EngineErrorCode]: Row<C> } = {
  'caller/namespace-not-found': { status: 404, message: ({ namespace }) => `no namespace ${namespace}` },
  'caller/function-not-found': {
    status: 404,
    message: ({ namespace, name }) => `no function ${namespace}/${name}`,
  },
  'caller/version-not-found': { status: 404, message: ({ version }) => `no version ${version}` },
  'caller/alias-not-found': { status: 404, message: ({ alias }) => `no alias ${alias}` },
  'caller/runtime-missing': { status: 409, message: ({ hint }) => hint },
  'caller/memory-unavailable': {
    status: 409,
    message: ({ neededMib, availableMib }) => `one instance needs ${neededMib} MiB of ${availableMib} MiB`,
  },
  'caller/concurrency-exceeded': {
    status: 429,
    message: ({ limit }) => `more than ${limit} calls at a time`,
    fix: LATER,
  },
  'caller/payload-budget-exceeded': { status: 429, message: () => 'too much is under way', fix: LATER },
  'caller/payload-too-large': { status: 413, message: ({ limitBytes }) => `more than ${limitBytes} bytes` },
  'caller/queue-full': {
    status: 429,
    message: ({ scope, limit }) =>
      scope === 'function'
        ? `the queue of the function has no room: its limit is ${limit} calls`
        : `the queues have no room: all of them together may hold ${limit} calls or bytes`,
    fix: 'wait until calls have ended, raise the limit, or purge what waits',
  },
  'caller/task-exists': { status: 409, message: ({ taskId }) => `there is a call ${taskId} already` },
  'caller/gone': { status: 408, message: () => 'the caller hung up' },
  'platform/no-capacity': { status: 503, message: () => 'no instance became free', fix: LATER },
  'platform/start-failed': { status: 503, message: ({ reason }) => `nothing could be started: ${reason}` },
  'platform/draining': { status: 503, message: () => 'the server is stopping' },
  'platform/store-full': {
    status: 507,
    message: () => 'there is no room on the disk of the data directory; nothing was changed',
    fix: 'make room there: it works again by itself',
  },
  'platform/store-failed': {
    status: 503,
    message: ({ reason }) => `the store failed: ${reason}`,
    fix: "read the server's log and start it again",
  },
}

/** What is answered when an operation was not done. */
export interface Refusal {
  readonly status: number
  readonly allow?: string
  readonly error: { readonly code: ControlErrorCode; readonly message: string; readonly fix?: string }
}

/** @param onFault Told of what should never happen; the answer says only that it did. */
export function refusalOf(error: unknown, onFault: (error: unknown) => void): Refusal {
  if (error instanceof ControlError) {
    const { code, message, fix, allow } = error
    const isOfEngine = code === 'caller/function-not-found' || code === 'caller/namespace-not-found'
    const status = isOfEngine ? ENGINE[code].status : OWN_STATUS[code]
    return {
      status,
      ...(allow === undefined ? {} : { allow }),
      error: { code, message, ...(fix === undefined ? {} : { fix }) },
    }
  }
  if (error instanceof EngineError) return engineRefusal(error.code, error.details)
  onFault(error)
  const message = 'the server made a mistake'
  return {
    status: 500,
    error: { code: 'platform/fault', message, fix: 'its log says more: please report it' },
  }
}

function engineRefusal<C extends EngineErrorCode>(code: C, details: EngineErrorDetails[C]): Refusal {
  const { status, message, fix } = ENGINE[code]
  return { status, error: { code, message: message(details), ...(fix === undefined ? {} : { fix }) } }
}
