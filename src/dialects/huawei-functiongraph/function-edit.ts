import { isDeepStrictEqual } from 'node:util'
import { newId } from '../../definitions/ids.ts'
import { QUOTA, requireQuota } from '../../definitions/quotas.ts'
import type { Draft } from '../../engine/catalogue.ts'
import { qualifiedKey } from '../../engine/keys.ts'
import { extrasOf, withExtras } from '../extras.ts'
import type { FunctionSpec } from '../../model/function.ts'
import type { Extras, FunctionRecord, Stored } from '../../store/store.ts'
import { DIALECT } from './operation.ts'

/** What of a function changes; absent members stay. */
export interface FunctionChange {
  readonly spec?: FunctionSpec
  readonly facts?: FunctionRecord['facts']
  readonly description?: string
  /** All of this dialect's part of the extras. */
  readonly own?: Extras
}

/** Changes a function. Instances of before go on only if nothing they were started with is different. */
export function changeFunction(
  draft: Draft,
  before: Stored<'function'>,
  change: FunctionChange,
  nowMs: number,
): FunctionRecord {
  const { value } = before
  const spec = change.spec ?? value.spec
  const facts = change.facts ?? value.facts
  const isSame = isDeepStrictEqual([spec, facts], [value.spec, value.facts])
  return draft.put('function', before.key, {
    ...value,
    spec,
    facts,
    description: change.description ?? value.description,
    extras: change.own === undefined ? value.extras : withExtras(value.extras, DIALECT, change.own),
    stateId: isSame ? value.stateId : newId(),
    modifiedAtMs: nowMs,
  }).value
}

/**
 * Caps the instances of a function at one version: 0 … 1000, 0 for none at all; −1 for no cap. The last is kept in the extras,
 * which are returned: no cap and none said are shown differently.
 */
export function withCap(
  draft: Draft,
  record: FunctionRecord,
  own: Extras,
  maxInstances: number | undefined,
  nowMs: number,
): Extras {
  if (maxInstances === undefined) return own
  const { account, namespace, name, version } = record
  const key = qualifiedKey(account, namespace, name, version)
  const { is_unlimited: _, ...others } = own
  const before = draft.get('scaling', key)?.value
  if (maxInstances < 0) {
    draft.delete('scaling', key)
    return { ...others, is_unlimited: true }
  }
  if (before === undefined)
    requireQuota(draft, 'scaling', `${account}/`, QUOTA.settingsPerAccount, 'caps of instances')
  draft.put('scaling', key, {
    account,
    namespace,
    functionName: name,
    qualifier: version,
    maxInstances,
    createdAtMs: before?.createdAtMs ?? nowMs,
    modifiedAtMs: nowMs,
  })
  return others
}

/** This dialect's part of a function's extras. */
export function ownOf(record: FunctionRecord): Extras {
  return extrasOf(record.extras, DIALECT)
}
