import type { EngineError, EngineErrorCode, EngineErrorDetails } from '../../model/errors.ts'

/** Every error code this dialect answers with, and its HTTP status. Source: the vendor's error-code page. */
export const STATUS_OF = {
  InvalidArgument: 400,
  MissingRequiredHeader: 400,
  PathNotSupported: 400,
  EntityTooLarge: 400,
  LimitExceeded: 400,
  InstanceMetricsRequired: 400,
  AccessDenied: 403,
  SignatureNotMatch: 403,
  InvalidAccessKeyID: 403,
  ServiceNotFound: 404,
  FunctionNotFound: 404,
  VersionNotFound: 404,
  AliasNotFound: 404,
  AsyncConfigNotExists: 404,
  StatefulAsyncInvocationNotFound: 404,
  OnDemandConfigNotFound: 404,
  ProvisionConfigNotFound: 404,
  ServiceAlreadyExists: 409,
  FunctionAlreadyExists: 409,
  AliasAlreadyExists: 409,
  ServiceNotEmpty: 409,
  StatefulAsyncInvocationAlreadyExists: 409,
  ConcurrentUpdateError: 409,
  PreconditionFailed: 412,
  ResourceExhausted: 429,
  ClientClosedRequest: 499,
  InternalServerError: 500,
  ResourceThrottled: 503,
} as const

export type FcCode = keyof typeof STATUS_OF

/** A request this dialect refuses: the code the vendor's clients branch on and a sentence for people. */
export class FcError extends Error {
  override readonly name = 'FcError'
  readonly code: FcCode

  constructor(code: FcCode, message: string) {
    super(message)
    this.code = code
  }
}

/** What an engine error is called here: one row for each code there is. */
const CODE_OF: Readonly<Record<EngineErrorCode, FcCode>> = {
  'caller/namespace-not-found': 'ServiceNotFound',
  'caller/function-not-found': 'FunctionNotFound',
  'caller/version-not-found': 'VersionNotFound',
  'caller/alias-not-found': 'AliasNotFound',
  'caller/runtime-missing': 'InvalidArgument',
  // No throttling: the vendor's clients would repeat the call, and no repeat can succeed.
  'caller/memory-unavailable': 'InvalidArgument',
  'caller/concurrency-exceeded': 'ResourceExhausted',
  'caller/payload-budget-exceeded': 'ResourceExhausted',
  'caller/payload-too-large': 'EntityTooLarge',
  'caller/queue-full': 'ResourceExhausted',
  'caller/task-exists': 'StatefulAsyncInvocationAlreadyExists',
  'caller/gone': 'ClientClosedRequest',
  'platform/no-capacity': 'ResourceThrottled',
  'platform/start-failed': 'InternalServerError',
  'platform/draining': 'ResourceThrottled',
  'platform/store-full': 'ResourceThrottled',
  'platform/store-failed': 'InternalServerError',
}

const INTERNAL = 'an internal error has occurred. Please retry.'

const MESSAGE_OF: { [C in EngineErrorCode]: (details: EngineErrorDetails[C]) => string } = {
  'caller/namespace-not-found': ({ namespace }) => `service '${namespace}' does not exist`,
  'caller/function-not-found': ({ namespace, name }) =>
    `function '${name}' does not exist in service '${namespace}'`,
  'caller/version-not-found': ({ namespace, version }) =>
    `version '${version}' does not exist in service '${namespace}'`,
  'caller/alias-not-found': ({ namespace, alias }) =>
    `alias '${alias}' does not exist in service '${namespace}'`,
  'caller/runtime-missing': ({ runtime, hint }) =>
    `runtime '${runtime}' is not available on this server: ${hint}`,
  'caller/memory-unavailable': ({ neededMib, availableMib }) =>
    `memorySize is ${neededMib} MB, more than the ${availableMib} MB that this server has for all instances together: lower it, or raise the server's setting memoryBudgetMib`,
  'caller/concurrency-exceeded': ({ scope, limit }) =>
    `the ${scope} is at its limit of ${limit} concurrent invocations; retry later`,
  'caller/payload-budget-exceeded': ({ limitBytes }) =>
    `payloads in flight exceed ${limitBytes} bytes; retry later`,
  'caller/payload-too-large': ({ limitBytes }) =>
    `payload size exceeds maximum allowed size (${limitBytes} bytes)`,
  'caller/queue-full': ({ scope, limit }) =>
    `the queue of asynchronous invocations of the ${scope} is full (${limit}); retry later`,
  'caller/task-exists': ({ taskId }) => `stateful async invocation '${taskId}' already exists`,
  'caller/gone': () => 'the client closed the request',
  'platform/no-capacity': ({ waitedMs }) =>
    `no instance became free within ${Math.round(waitedMs)} ms; retry later`,
  'platform/start-failed': () => INTERNAL,
  'platform/draining': () => 'the server is shutting down; retry later',
  'platform/store-full': () => 'the server has no room to store the invocation; retry later',
  'platform/store-failed': () => INTERNAL,
}

/** The dialect's answer to an engine error. */
export function fcErrorOf<C extends EngineErrorCode>(error: EngineError<C>): FcError {
  return new FcError(CODE_OF[error.code], MESSAGE_OF[error.code](error.details))
}

/** What an engine error that was kept by its code alone is called here; undefined for text that is no such code. */
export function fcCodeOf(engineCode: string): FcCode | undefined {
  return isEngineCode(engineCode) ? CODE_OF[engineCode] : undefined
}

function isEngineCode(text: string): text is EngineErrorCode {
  return Object.hasOwn(CODE_OF, text)
}
