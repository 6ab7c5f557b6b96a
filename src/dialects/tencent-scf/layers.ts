import { QUOTA, requireQuota } from '../../definitions/quotas.ts'
import type { Definitions, Draft } from '../../engine/catalogue.ts'
import { documentKey, layerKey } from '../../engine/keys.ts'
import type { LayerRecord } from '../../store/definition-store.ts'
import { withExtras } from '../extras.ts'
import { carriesZip, takeCode } from './code.ts'
import { ScfError } from './errors.ts'
import { integerField, objectField, textField, textListField } from './fields.ts'
import {
  LAYER_NAME,
  layerBody,
  MAX_LAYER_VERSION,
  ownLayerExtras,
  requireLayer,
  versionsOf,
  type LayerReference,
} from './layer-records.ts'
import { DIALECT, type JsonObject, type Operation } from './operation.ts'
import { onPage, pageOf } from './paging.ts'
import { readTags } from './tags.ts'

/** Source of these numbers: the vendor's quota and PublishLayerVersion pages. */
const MAX_VERSIONS = 200
const MAX_RUNTIMES = 20
const MAX_DESCRIPTION_CHARS = 1024
const NEW_LAYER_NAME = /^[A-Za-z](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])?$/

/** Stores a package under the next version of a layer's name, from 1. Numbers are not used again. */
export const publishLayerVersion: Operation = async (call, { catalogue, packages, now }) => {
  const name = layerNameOf(call.params, { isNew: true })
  const code = 'InvalidParameterValue.CompatibleRuntimes'
  const runtimes = textListField(call.params, 'CompatibleRuntimes', {
    required: true,
    max: MAX_RUNTIMES,
    code,
  })
  if (runtimes === undefined || runtimes.length === 0 || runtimes.some((word) => !/^[\w.]{1,64}$/.test(word)))
    throw new ScfError(code, 'CompatibleRuntimes must be a list of runtimes')
  const content = objectField(call.params, 'Content', {
    required: true,
    code: 'InvalidParameterValue.Content',
  })
  const description = textField(call.params, 'Description', {
    max: MAX_DESCRIPTION_CHARS,
    code: 'InvalidParameterValue.Description',
  })
  const license = textField(call.params, 'LicenseInfo', { max: MAX_DESCRIPTION_CHARS })
  const tags = readTags(call.params) ?? {}
  if (!carriesZip(call, content))
    throw new ScfError('InvalidParameterValue.Content', 'Content has no ZipFile')
  requireRoom(catalogue, call.accountId, name)
  const layerCode = await takeCode(call, content, packages)
  const published = await catalogue.change((draft) => {
    requireRoom(draft, call.accountId, name)
    requireQuota(
      draft,
      'layer',
      `${call.accountId}/`,
      QUOTA.layersPerAccount,
      'layer versions in the account',
    )
    const version = highestVersion(draft, call.accountId, name) + 1
    const nowMs = now()
    rememberVersion(draft, call.accountId, { name, version }, nowMs)
    return draft.put('layer', layerKey(call.accountId, name, version), {
      account: call.accountId,
      name,
      version,
      description: description ?? '',
      code: layerCode,
      extras: withExtras({}, DIALECT, { runtimes, license: license ?? '', tags }),
      createdAtMs: nowMs,
      modifiedAtMs: nowMs,
    })
  })
  return { LayerVersion: published.value.version }
}

/** @throws {ScfError} `ResourceNotFound.Layer`, `ResourceNotFound.LayerVersion` */
export const getLayerVersion: Operation = (call, { catalogue, links }) => {
  const { value } = requireLayer(catalogue, call.accountId, referenceOf(call.params))
  const { Stamp: _stamp, Tags: _tags, ...body } = layerBody(value)
  return {
    ...body,
    CodeSha256: value.code.digest,
    Location: links.link(call.origin, value.code.digest),
  }
}

/** Functions that are bound to it keep their copy. @throws {ScfError} as {@link getLayerVersion} */
export const deleteLayerVersion: Operation = async (call, { catalogue }) => {
  const reference = referenceOf(call.params)
  await catalogue.change((draft) => {
    draft.delete('layer', requireLayer(draft, call.accountId, reference).key)
  })
  return {}
}

/** The newest version of each layer, by name. */
export const listLayers: Operation = (call, { catalogue }) => {
  const page = pageOf(call.params)
  const runtime = textField(call.params, 'CompatibleRuntime')
  const wanted = textField(call.params, 'SearchKey', {
    code: 'InvalidParameterValue.SearchKey',
  })?.toLowerCase()
  const newest = new Map<string, LayerRecord>()
  for (const { value } of catalogue.list('layer', `${call.accountId}/`)) newest.set(value.name, value)
  const layers = [...newest.values()].filter(
    (layer) =>
      (wanted === undefined || layer.name.toLowerCase().includes(wanted)) &&
      fitsRuntimes(layer, runtime ? [runtime] : []),
  )
  return { Layers: onPage(layers, page).map(layerBody), TotalCount: layers.length }
}

/** The versions of a layer, newest first. A name without any has an empty list. */
export const listLayerVersions: Operation = (call, { catalogue }) => {
  const name = layerNameOf(call.params, { isNew: false })
  const runtimes = textListField(call.params, 'CompatibleRuntime', { max: MAX_RUNTIMES }) ?? []
  const versions = versionsOf(catalogue, call.accountId, name)
    .map(({ value }) => value)
    .filter((layer) => fitsRuntimes(layer, runtimes))
  return { LayerVersions: versions.reverse().map(layerBody) }
}

/** Layers that other APIs made name no runtimes: they are for all. */
function fitsRuntimes(layer: LayerRecord, wanted: readonly string[]): boolean {
  const { runtimes } = ownLayerExtras(layer)
  return wanted.length === 0 || runtimes.length === 0 || wanted.some((word) => runtimes.includes(word))
}

function layerNameOf(params: JsonObject, options: { readonly isNew: boolean }): string {
  return textField(params, 'LayerName', {
    required: true,
    pattern: options.isNew ? NEW_LAYER_NAME : LAYER_NAME,
    code: 'InvalidParameterValue.LayerName',
  })
}

function referenceOf(params: JsonObject): LayerReference {
  return {
    name: layerNameOf(params, { isNew: false }),
    version: integerField(params, 'LayerVersion', { required: true, min: 0, max: MAX_LAYER_VERSION }),
  }
}

function requireRoom(definitions: Definitions, account: string, name: string): void {
  if (definitions.count('layer', `${account}/${name}/`) >= MAX_VERSIONS)
    throw new ScfError(
      'LimitExceeded.LayerVersions',
      `layer '${name}' may have ${MAX_VERSIONS} versions at most`,
    )
  if (highestVersion(definitions, account, name) >= MAX_LAYER_VERSION)
    throw new ScfError('LimitExceeded.LayerVersions', `layer '${name}' has used up its version numbers`)
}

/** The highest number a layer ever had, deleted ones included. */
function highestVersion(definitions: Definitions, account: string, name: string): number {
  const newest = versionsOf(definitions, account, name).at(-1)?.value.version ?? 0
  const remembered = definitions.get('document', memoryKey(account, name))?.value.content['lastVersion']
  return Math.max(newest, typeof remembered === 'number' ? remembered : 0)
}

/** Numbers are not used again when the newest version was deleted: the highest is kept by the layer's name. */
function rememberVersion(
  draft: Draft,
  account: string,
  { name, version }: LayerReference,
  nowMs: number,
): void {
  const key = memoryKey(account, name)
  const before = draft.get('document', key)
  if (before === undefined)
    requireQuota(draft, 'document', `${account}/`, QUOTA.documentsPerAccount, 'documents in the account')
  draft.put('document', key, {
    account,
    owner: '',
    name: `layer ${name}`,
    content: { lastVersion: version },
    createdAtMs: before?.value.createdAtMs ?? nowMs,
    modifiedAtMs: nowMs,
  })
}

function memoryKey(account: string, name: string): string {
  return documentKey(account, '', DIALECT, `layer ${name}`)
}
