import type { EngineError, EngineErrorCode, EngineErrorDetails } from '../../model/errors.ts'

/** Codes of API 3.0 that this server uses. Source: the vendor's list of common codes and of the product's own. */
export const SCF_CODES = [
  'AuthFailure.InvalidAuthorization',
  'AuthFailure.SecretIdNotFound',
  'AuthFailure.SignatureExpire',
  'AuthFailure.SignatureFailure',
  'AuthFailure.TokenFailure',
  'AuthFailure.UnauthorizedOperation',
  'FailedOperation',
  'FailedOperation.AsyncEventStatus',
  'FailedOperation.DeleteAlias',
  'FailedOperation.DeleteNamespace',
  'FailedOperation.InvokeFunction',
  'FailedOperation.OperationConflict',
  'FailedOperation.UpdateAlias',
  'InternalError',
  'InvalidAction',
  'InvalidParameter',
  'InvalidParameter.Payload',
  'InvalidParameterValue',
  'InvalidParameterValue.AdditionalVersionWeights',
  'InvalidParameterValue.AsyncTriggerConfig',
  'InvalidParameterValue.Code',
  'InvalidParameterValue.CodeSource',
  'InvalidParameterValue.CompatibleRuntimes',
  'InvalidParameterValue.Content',
  'InvalidParameterValue.CustomArgument',
  'InvalidParameterValue.DateTime',
  'InvalidParameterValue.DeadLetterConfig',
  'InvalidParameterValue.DefaultNamespace',
  'InvalidParameterValue.Description',
  'InvalidParameterValue.EipConfig',
  'InvalidParameterValue.Enable',
  'InvalidParameterValue.Environment',
  'InvalidParameterValue.EnvironmentExceededLimit',
  'InvalidParameterValue.EnvironmentSystemProtect',
  'InvalidParameterValue.Filters',
  'InvalidParameterValue.FunctionName',
  'InvalidParameterValue.Handler',
  'InvalidParameterValue.InvokeType',
  'InvalidParameterValue.LayerName',
  'InvalidParameterValue.Layers',
  'InvalidParameterValue.Limit',
  'InvalidParameterValue.MemorySize',
  'InvalidParameterValue.Name',
  'InvalidParameterValue.Namespace',
  'InvalidParameterValue.NamespaceInvalid',
  'InvalidParameterValue.Offset',
  'InvalidParameterValue.Order',
  'InvalidParameterValue.OrderBy',
  'InvalidParameterValue.Orderby',
  'InvalidParameterValue.Param',
  'InvalidParameterValue.PublicNetConfig',
  'InvalidParameterValue.Qualifier',
  'InvalidParameterValue.RoutingConfig',
  'InvalidParameterValue.Runtime',
  'InvalidParameterValue.SearchKey',
  'InvalidParameterValue.StartTimeOrEndTime',
  'InvalidParameterValue.Status',
  'InvalidParameterValue.TriggerDesc',
  'InvalidParameterValue.TriggerName',
  'InvalidParameterValue.Type',
  'InvalidParameterValue.ZipFile',
  'InvalidParameterValue.ZipFileBase64BinasciiError',
  'InvalidRequest',
  'LimitExceeded',
  'LimitExceeded.Alias',
  'LimitExceeded.Function',
  'LimitExceeded.FunctionProvisionedConcurrencyMemory',
  'LimitExceeded.FunctionReservedConcurrencyMemory',
  'LimitExceeded.FunctionTotalProvisionedConcurrencyMemory',
  'LimitExceeded.InitTimeout',
  'LimitExceeded.LayerVersions',
  'LimitExceeded.Layers',
  'LimitExceeded.Memory',
  'LimitExceeded.MsgTTL',
  'LimitExceeded.Namespace',
  'LimitExceeded.Offset',
  'LimitExceeded.RetryNum',
  'LimitExceeded.Timeout',
  'LimitExceeded.Trigger',
  'MissingParameter',
  'MissingParameter.Code',
  'NoSuchVersion',
  'RequestLimitExceeded',
  'RequestSizeLimitExceeded',
  'ResourceInUse.Alias',
  'ResourceInUse.Function',
  'ResourceInUse.Namespace',
  'ResourceInUse.Trigger',
  'ResourceInUse.TriggerName',
  'ResourceInsufficient',
  'ResourceNotFound',
  'ResourceNotFound.Alias',
  'ResourceNotFound.AsyncEvent',
  'ResourceNotFound.Demo',
  'ResourceNotFound.FunctionName',
  'ResourceNotFound.Layer',
  'ResourceNotFound.LayerVersion',
  'ResourceNotFound.Namespace',
  'ResourceNotFound.Trigger',
  'ResourceNotFound.Version',
  'ServiceUnavailable',
  'UnauthorizedOperation',
  'UnsupportedOperation',
  'UnsupportedOperation.AliasBind',
  'UnsupportedOperation.Cos',
  'UnsupportedOperation.Trigger',
  'UnsupportedProtocol',
  'UnsupportedRegion',
] as const

export type ScfCode = (typeof SCF_CODES)[number]

/** A request this dialect refuses: the code the vendor's clients branch on and a sentence for people. */
export class ScfError extends Error {
  override readonly name = 'ScfError'
  readonly code: ScfCode

  constructor(code: ScfCode, message: string) {
    super(message)
    this.code = code
  }
}

const SCF_ERRORS: { [C in EngineErrorCode]: (details: EngineErrorDetails[C]) => ScfError } = {
  'caller/namespace-not-found': ({ namespace }) =>
    new ScfError('ResourceNotFound.Namespace', `namespace '${namespace}' does not exist`),
  'caller/function-not-found': ({ namespace, name }) =>
    new ScfError(
      'ResourceNotFound.FunctionName',
      `function '${name}' does not exist in namespace '${namespace}'`,
    ),
  'caller/version-not-found': ({ version }) =>
    new ScfError('ResourceNotFound.Version', `version '${version}' does not exist`),
  'caller/alias-not-found': ({ alias }) => aliasNotFound(alias),
  'caller/runtime-missing': ({ runtime, hint }) =>
    new ScfError(
      'InvalidParameterValue.Runtime',
      `runtime '${runtime}' is not available on this server: ${hint}`,
    ),
  'caller/memory-unavailable': ({ neededMib, availableMib }) =>
    new ScfError(
      'LimitExceeded.Memory',
      `MemorySize is ${neededMib} MB, more than the ${availableMib} MB that this server has for all instances together: lower it, or raise the server's setting memoryBudgetMib`,
    ),
  'caller/concurrency-exceeded': ({ scope, limit }) =>
    new ScfError(
      'RequestLimitExceeded',
      `ResourceLimitReached (432): the ${scope} is at its limit of ${limit} concurrent invocations; retry later`,
    ),
  'caller/payload-budget-exceeded': ({ limitBytes }) =>
    new ScfError('RequestLimitExceeded', `payloads in flight exceed ${limitBytes} bytes; retry later`),
  'caller/payload-too-large': ({ limitBytes }) =>
    new ScfError(
      'RequestSizeLimitExceeded',
      `the request body exceeds the maximum allowed size of ${limitBytes} bytes`,
    ),
  'caller/queue-full': ({ scope, limit }) =>
    new ScfError(
      'RequestLimitExceeded',
      `the queue of asynchronous invocations of the ${scope} is full (${limit}); retry later`,
    ),
  'caller/task-exists': ({ taskId }) =>
    new ScfError('FailedOperation.InvokeFunction', `the asynchronous invocation '${taskId}' already exists`),
  'caller/gone': () => new ScfError('FailedOperation.InvokeFunction', 'the client closed the request'),
  'platform/no-capacity': ({ waitedMs }) =>
    new ScfError(
      'ResourceInsufficient',
      `InsufficientResources (449): no instance became free within ${Math.round(waitedMs)} ms; retry later`,
    ),
  'platform/start-failed': () => internalError(),
  'platform/draining': () => new ScfError('ServiceUnavailable', 'the server is shutting down; retry later'),
  'platform/store-full': () =>
    new ScfError('ServiceUnavailable', 'the server has no room to store this; retry later'),
  'platform/store-failed': () => internalError(),
}

/** The dialect's answer to an engine error: one row for each code there is. */
export function scfErrorOf<C extends EngineErrorCode>(error: EngineError<C>): ScfError {
  return SCF_ERRORS[error.code](error.details)
}

/** The vendor's tools tell a missing alias by the Chinese words. */
export function aliasNotFound(alias: string): ScfError {
  return new ScfError(
    'ResourceNotFound.Alias',
    `未找到指定的Alias，请创建后再试。 alias '${alias}' does not exist`,
  )
}

function internalError(): ScfError {
  return new ScfError('InternalError', 'an internal error has occurred; please retry')
}
