import type { Definitions } from '../engine/catalogue.ts'
import { findFunctionRecord } from '../engine/find-function.ts'
import type { Stored } from '../store/definition-store.ts'

/**
 * A function as it is at the version a qualifier leads to now, by the same rules as a call of it. A weighted alias leads to
 * its main version: reading definitions draws no lots.
 *
 * @param qualifier A version or an alias; absent or `LATEST` means the latest state.
 * @throws {import('../model/errors.ts').EngineError} `caller/namespace-not-found`, `caller/function-not-found`,
 *   `caller/version-not-found`, `caller/alias-not-found`
 */
export function findFunction(
  definitions: Definitions,
  account: string,
  namespace: string,
  name: string,
  qualifier?: string,
): Stored<'function'> {
  const target = { account, namespace, name, ...(qualifier === undefined ? {} : { qualifier }) }
  return findFunctionRecord(definitions, target, ({ version }) => version)
}
