import type { Draft } from '../engine/catalogue.ts'
import { qualifiedKey } from '../engine/keys.ts'
import type { FunctionName } from '../model/function.ts'
import type { RecordKinds, Stored } from '../store/definition-store.ts'
import { QUOTA, requireQuota } from './quotas.ts'

/** Settings of a function through one qualifier, and what an account may have too many of. */
const NOUNS = {
  asyncConfig: 'settings of asynchronous calls in the account',
  scaling: 'caps of instances in the account',
  provision: 'settings of provisioned instances in the account',
} as const

export type SettingKind = keyof typeof NOUNS

/** Members that settings of all kinds have. */
export type SettingMembers = Pick<
  RecordKinds[SettingKind],
  'account' | 'namespace' | 'functionName' | 'qualifier' | 'createdAtMs' | 'modifiedAtMs'
>

/**
 * What a setting that is about to be put has in common with all others: whose it is, and since when it has been there.
 *
 * @param nowMs Epoch milliseconds.
 * @throws {import('./quotas.ts').QuotaExceeded} there is none yet, and no room for one more
 */
export function settingMembers(
  draft: Draft,
  kind: SettingKind,
  { account, namespace, name }: FunctionName,
  qualifier: string,
  nowMs: number,
): SettingMembers {
  const before = draft.get(kind, qualifiedKey(account, namespace, name, qualifier))
  if (before === undefined) requireQuota(draft, kind, `${account}/`, QUOTA.settingsPerAccount, NOUNS[kind])
  const createdAtMs = before?.value.createdAtMs ?? nowMs
  return { account, namespace, functionName: name, qualifier, createdAtMs, modifiedAtMs: nowMs }
}

/** Caps the instances of a function through one qualifier. @throws {import('./quotas.ts').QuotaExceeded} */
export function putCap(
  draft: Draft,
  target: FunctionName,
  qualifier: string,
  maxInstances: number,
  nowMs: number,
): Stored<'scaling'> {
  const members = settingMembers(draft, 'scaling', target, qualifier, nowMs)
  const key = qualifiedKey(target.account, target.namespace, target.name, qualifier)
  return draft.put('scaling', key, { ...members, maxInstances })
}
