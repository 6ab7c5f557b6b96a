import type { Draft } from '../engine/catalogue.ts'
import { documentKey, layerKey } from '../engine/keys.ts'
import type { CodePackage } from '../model/function.ts'
import type { Extras, LayerRecord } from '../store/definition-store.ts'
import { QUOTA, requireQuota } from './quotas.ts'

/** What a layer's next version is made of. */
export interface LayerPublication {
  readonly account: string
  readonly name: string
  readonly description: string
  readonly code: CodePackage
  readonly extras: Extras
  /** Epoch milliseconds. */
  readonly nowMs: number
}

/**
 * Adds the next version of a layer, from 1. A number is not used again, also when its version was removed.
 *
 * @throws {import('./quotas.ts').QuotaExceeded}
 */
export function publishLayer(draft: Draft, publication: LayerPublication): LayerRecord {
  const { account, name, description, code, extras, nowMs } = publication
  requireQuota(draft, 'layer', `${account}/`, QUOTA.layersPerAccount, 'versions of layers')
  const countKey = documentKey(account, '', 'layers', name)
  const count = draft.get('document', countKey)?.value
  const newest = draft.list('layer', `${account}/${name}/`).at(-1)?.value.version ?? 0
  const version = Math.max(Number(count?.content['lastVersion'] ?? 0), newest) + 1
  if (count === undefined)
    requireQuota(draft, 'document', `${account}/`, QUOTA.documentsPerAccount, 'names of layers')
  draft.put('document', countKey, {
    account,
    owner: '',
    name,
    content: { lastVersion: version },
    createdAtMs: count?.createdAtMs ?? nowMs,
    modifiedAtMs: nowMs,
  })
  return draft.put('layer', layerKey(account, name, version), {
    account,
    name,
    version,
    description,
    code,
    extras,
    createdAtMs: nowMs,
    modifiedAtMs: nowMs,
  }).value
}
