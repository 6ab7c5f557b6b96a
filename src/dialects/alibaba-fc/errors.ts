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

const FC_ERRORS: { [C in EngineErrorCode]: (details: EngineErrorDetails[C]) => FcError } = {
  'caller/namespace-not-found': ({ namespace }) =>
    new FcError('ServiceNotFound', `service '${namespace}' does not exist`),
  'caller/function-not-found': ({ namespace, name }) =>
    new FcError('FunctionNotFound', `function '${name}' does not exist in service '${namespace}'`),
  'caller/version-not-found': ({ namespace, version }) =>
    new FcError('VersionNotFound', `version '${version}' does not exist in service '${namespace}'`),
  'caller/alias-not-found': ({ namespace, alias }) =>
    new FcError('AliasNotFound', `alias '${alias}' does not exist in service '${namespace}'`),
  'caller/runtime-missing': ({ runtime, hint }) =>
    new FcError('InvalidArgument', `runtime '${runtime}' is not available on this server: ${hint}`),
  'caller/concurrency-exceeded': ({ scope, limit }) =>
    new FcError(
      'ResourceExhausted',
      `the ${scope} is at its limit of ${limit} concurrent invocations; retry later`,
    ),
  'caller/payload-budget-exceeded': ({ limitBytes }) =>
    new FcError('ResourceExhausted', `payloads in flight exceed ${limitBytes} bytes; retry later`),
  'caller/payload-too-large': ({ limitBytes }) =>
    new FcError('EntityTooLarge', `payload size exceeds maximum allowed size (${limitBytes} bytes)`),
  'caller/queue-full': ({ limit }) =>
    new FcError('ResourceExhausted', `the queue of asynchronous invocations is full (${limit}); retry later`),
  'caller/task-exists': ({ taskId }) =>
    new FcError(
      'StatefulAsyncInvocationAlreadyExists',
      `stateful async invocation '${taskId}' already exists`,
    ),
  'caller/gone': () => new FcError('ClientClosedRequest', 'the client closed the request'),
  'platform/no-capacity': ({ waitedMs }) =>
    new FcError(
      'ResourceThrottled',
      `no instance became free within ${Math.round(waitedMs)} ms; retry later`,
    ),
  'platform/start-failed': () =>
    new FcError('InternalServerError', 'an internal error has occurred. Please retry.'),
  'platform/draining': () => new FcError('ResourceThrottled', 'the server is shutting down; retry later'),
  'platform/store-full': () =>
    new FcError('ResourceThrottled', 'the server has no room to store the invocation; retry later'),
  'platform/store-failed': () =>
    new FcError('InternalServerError', 'an internal error has occurred. Please retry.'),
}

/** The dialect's answer to an engine error: one row for each code there is. */
export function fcErrorOf<C extends EngineErrorCode>(error: EngineError<C>): FcError {
  return FC_ERRORS[error.code](error.details)
}
