import type { Definitions } from '../../engine/catalogue.ts'
import { layerKey } from '../../engine/keys.ts'
import { isJsonObject } from '../../model/json.ts'
import type { LayerRecord, Stored } from '../../store/definition-store.ts'
import { extrasOf } from '../extras.ts'
import { ScfError } from './errors.ts'
import { DIALECT, type JsonObject } from './operation.ts'
import { tagsBody, type Tags } from './tags.ts'
import { formatTime } from './times.ts'

/** Also names that other APIs give, which are a little freer. */
export const LAYER_NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,127}$/
export const MAX_LAYER_VERSION = 999_999_999

/** Names one version of a layer. */
export interface LayerReference {
  readonly name: string
  readonly version: number
}

/** A layer's version as lists show it. */
export function layerBody(layer: LayerRecord): JsonObject {
  const own = ownLayerExtras(layer)
  return {
    CompatibleRuntimes: own.runtimes,
    AddTime: formatTime(layer.createdAtMs),
    Description: layer.description,
    LicenseInfo: own.license,
    LayerVersion: layer.version,
    LayerName: layer.name,
    Status: 'Active',
    Stamp: 'Default',
    Tags: tagsBody(own.tags),
  }
}

/** What this API keeps with a layer; empty for those that others made. */
export function ownLayerExtras(layer: LayerRecord): {
  runtimes: readonly string[]
  license: string
  tags: Tags
} {
  const { runtimes, license, tags } = extrasOf(layer.extras, DIALECT)
  return {
    runtimes: Array.isArray(runtimes) ? runtimes.filter((word) => typeof word === 'string') : [],
    license: typeof license === 'string' ? license : '',
    tags: isJsonObject(tags) ? Object.fromEntries(Object.entries(tags).map(([k, v]) => [k, String(v)])) : {},
  }
}

/** @throws {ScfError} `ResourceNotFound.Layer`, `ResourceNotFound.LayerVersion` */
export function requireLayer(
  definitions: Definitions,
  account: string,
  { name, version }: LayerReference,
): Stored<'layer'> {
  const layer = definitions.get('layer', layerKey(account, name, version))
  if (layer !== undefined) return layer
  throw versionsOf(definitions, account, name).length === 0
    ? new ScfError('ResourceNotFound.Layer', `layer '${name}' does not exist`)
    : new ScfError('ResourceNotFound.LayerVersion', `layer '${name}' has no version ${version}`)
}

/** All versions of a layer, the oldest first. */
export function versionsOf(definitions: Definitions, account: string, name: string): Stored<'layer'>[] {
  return [...definitions.list('layer', `${account}/${name}/`)]
}
