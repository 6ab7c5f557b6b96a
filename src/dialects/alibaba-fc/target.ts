import type { Definitions } from '../../engine/catalogue.ts'
import { namespaceKey, versionKey } from '../../engine/keys.ts'
import { EngineError } from '../../model/errors.ts'
import { LATEST, type FunctionName } from '../../model/function.ts'
import type { Stored } from '../../store/definition-store.ts'
import { requireFunctionName, requireQualifier, requireServiceName } from './names.ts'
import type { Call } from './operation.ts'

/** A function through one qualifier, as a request's path names it. The names are well-formed, not known to exist. */
export interface QualifiedFunction {
  readonly account: string
  readonly service: string
  readonly name: string
  /** `LATEST` where the request names none. */
  readonly qualifier: string
}

/** The function without its qualifier, as the engine names it. */
export function namedBy({ account, service, name }: QualifiedFunction): FunctionName {
  return { account, namespace: service, name }
}

/** A path parameter of the operation's pattern. @throws {TypeError} the pattern has no such parameter */
export function pathParameter(call: Call, name: string): string {
  const value = call.params[name]
  if (value === undefined) throw new TypeError(`the operation's path has no parameter '${name}'`)
  return value
}

/** @throws {FcError} InvalidArgument: not a service name */
export function serviceOf(call: Call): string {
  return requireServiceName(pathParameter(call, 'service'))
}

/** @throws {FcError} InvalidArgument: one of the names is none */
export function qualifiedFunctionOf(call: Call): QualifiedFunction {
  return {
    account: call.accountId,
    service: serviceOf(call),
    name: requireFunctionName(pathParameter(call, 'function')),
    qualifier: requireQualifier(call.qualifier ?? LATEST),
  }
}

/** @throws {EngineError} `caller/namespace-not-found` */
export function requireService(
  definitions: Definitions,
  account: string,
  service: string,
): Stored<'namespace'> {
  const found = definitions.get('namespace', namespaceKey(account, service))
  if (found === undefined) throw new EngineError('caller/namespace-not-found', { namespace: service })
  return found
}

/** @param version `LATEST` always exists. @throws {EngineError} `caller/version-not-found` */
export function requireVersion(
  definitions: Definitions,
  account: string,
  service: string,
  version: string,
): void {
  if (version !== LATEST && definitions.get('version', versionKey(account, service, version)) === undefined)
    throw new EngineError('caller/version-not-found', { namespace: service, version })
}
