import { putCap } from '../../definitions/settings.ts'
import type { Draft } from '../../engine/catalogue.ts'
import { qualifiedKey } from '../../engine/keys.ts'
import { extrasOf } from '../extras.ts'
import type { Extras, FunctionRecord } from '../../store/definition-store.ts'
import { DIALECT } from './operation.ts'

/**
 * Caps the instances of a function at one version: 0 … 1000, 0 for none at all; −1 for no cap. The last is kept in the extras,
 * which are returned: no cap and none said are shown differently.
 */
export function withCap(
  draft: Draft,
  record: Pick<FunctionRecord, 'account' | 'namespace' | 'name' | 'version'>,
  own: Extras,
  maxInstances: number | undefined,
  nowMs: number,
): Extras {
  if (maxInstances === undefined) return own
  const { is_unlimited: _, ...others } = own
  if (maxInstances < 0) {
    draft.delete('scaling', qualifiedKey(record.account, record.namespace, record.name, record.version))
    return { ...others, is_unlimited: true }
  }
  putCap(draft, record, record.version, maxInstances, nowMs)
  return others
}

/** This dialect's part of a function's extras. */
export function ownOf(record: FunctionRecord): Extras {
  return extrasOf(record.extras, DIALECT)
}
