import type { Draft } from '../engine/catalogue.ts'
import { tagsKey } from '../engine/keys.ts'
import { QUOTA, requireQuota } from './quotas.ts'

/**
 * Gives a resource these tags in place of those it has.
 *
 * @param resource `namespace` or `namespace/function`.
 * @param nowMs Epoch milliseconds.
 * @throws {import('./quotas.ts').QuotaExceeded}
 */
export function putTags(
  draft: Draft,
  account: string,
  resource: string,
  tags: Readonly<Record<string, string>>,
  nowMs: number,
): void {
  const key = tagsKey(account, resource)
  if (Object.keys(tags).length === 0) {
    draft.delete('tags', key)
    return
  }
  const before = draft.get('tags', key)?.value
  if (before === undefined)
    requireQuota(draft, 'tags', `${account}/`, QUOTA.settingsPerAccount, 'resources with tags in the account')
  const createdAtMs = before?.createdAtMs ?? nowMs
  draft.put('tags', key, { account, resource, tags, createdAtMs, modifiedAtMs: nowMs })
}
