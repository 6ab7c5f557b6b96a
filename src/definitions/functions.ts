import { isDeepStrictEqual } from 'node:util'
import type { Draft } from '../engine/catalogue.ts'
import { functionKey } from '../engine/keys.ts'
import { LATEST, type FunctionName, type FunctionSpec } from '../model/function.ts'
import type { Extras, FunctionRecord, Stored } from '../store/definition-store.ts'
import { newId } from './ids.ts'
import { QUOTA, requireFunctionStates, requireQuota } from './quotas.ts'

/** What a function is made of; its ids are made here. */
export interface NewFunction extends FunctionName {
  readonly description: string
  readonly spec: FunctionSpec
  readonly facts: FunctionRecord['facts']
  readonly extras: Extras
}

/** What of a function changes; absent members stay. */
export type FunctionChange = Partial<Pick<FunctionRecord, 'description' | 'spec' | 'facts' | 'extras'>>

/**
 * Makes a function. Its namespace must be there, and none of its name.
 *
 * @param nowMs Epoch milliseconds.
 * @throws {import('./quotas.ts').QuotaExceeded}
 */
export function addFunction(
  draft: Draft,
  { account, namespace, name, description, spec, facts, extras }: NewFunction,
  nowMs: number,
): Stored<'function'> {
  const others = functionKey(account, namespace, '')
  requireQuota(draft, 'function', others, QUOTA.functionsPerNamespace, `functions in '${namespace}'`)
  requireFunctionStates(draft, account, 1)
  return draft.put('function', functionKey(account, namespace, name), {
    account,
    namespace,
    name,
    version: LATEST,
    functionId: newId(),
    stateId: newId(),
    description,
    spec,
    facts,
    extras,
    createdAtMs: nowMs,
    modifiedAtMs: nowMs,
  })
}

/**
 * Changes a function's latest state. Its instances go on only if nothing that they were started with is different.
 *
 * @param before As the draft has it.
 * @param nowMs Epoch milliseconds.
 */
export function changeFunction(
  draft: Draft,
  before: Stored<'function'>,
  change: FunctionChange,
  nowMs: number,
): Stored<'function'> {
  const after = { ...before.value, ...change }
  const { spec, facts, stateId } = before.value
  const isSame = isDeepStrictEqual([after.spec, after.facts], [spec, facts])
  return draft.put('function', before.key, {
    ...after,
    stateId: isSame ? stateId : newId(),
    modifiedAtMs: nowMs,
  })
}
