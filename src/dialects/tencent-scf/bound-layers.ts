import type { Definitions } from '../../engine/catalogue.ts'
import { layerKey } from '../../engine/keys.ts'
import type { CodePackage, FunctionSpec } from '../../model/function.ts'
import { isJsonObject } from '../../model/json.ts'
import type { Extras } from '../../store/definition-store.ts'
import { ScfError } from './errors.ts'
import { integerField, objectListField, textField } from './fields.ts'
import {
  LAYER_NAME,
  layerBody,
  MAX_LAYER_VERSION,
  requireLayer,
  type LayerReference,
} from './layer-records.ts'
import type { JsonObject } from './operation.ts'

/** Source: the vendor's quota page. */
const MAX_BOUND_LAYERS = 5
/** Code and layers of a function, unpacked. Source: the same page, "500 MB". */
const MAX_EXPANDED_BYTES = 500 * 1024 * 1024

/** A layer as a function keeps it: its package, and what it was bound by. */
interface BoundLayer extends LayerReference {
  readonly digest: string
}

/**
 * `Layers` of a request for a function: versions in the order in which later ones win. One without a name clears them.
 *
 * @returns Undefined when the parameter is absent.
 * @throws {ScfError}
 */
export function readLayers(params: JsonObject): readonly LayerReference[] | undefined {
  const code = 'InvalidParameterValue.Layers'
  const list = objectListField(params, 'Layers', { code })
  if (list === undefined) return undefined
  const [first] = list
  if (list.length === 1 && first !== undefined && textField(first, 'LayerName', { code }) === '') return []
  if (list.length > MAX_BOUND_LAYERS)
    throw new ScfError('LimitExceeded.Layers', `a function may have ${MAX_BOUND_LAYERS} layers at most`)
  return list.map((entry) => ({
    name: textField(entry, 'LayerName', { required: true, pattern: LAYER_NAME, code }),
    version: integerField(entry, 'LayerVersion', { required: true, min: 1, max: MAX_LAYER_VERSION, code }),
  }))
}

/** What a function keeps of the layers it is bound to. @throws {ScfError} `ResourceNotFound.Layer`, `….LayerVersion` */
export function bindLayers(
  definitions: Definitions,
  account: string,
  references: readonly LayerReference[],
): { readonly packages: readonly CodePackage[]; readonly bound: readonly BoundLayer[] } {
  const layers = references.map((reference) => requireLayer(definitions, account, reference).value)
  return {
    packages: layers.map(({ code }) => code),
    bound: layers.map(({ name, version, code }) => ({ name, version, digest: code.digest })),
  }
}

/** Makes sure that the code and the layers of a function are not too large together. @throws {ScfError} `LimitExceeded.Layers` */
export function requireLayersFit(code: CodePackage, layers: readonly CodePackage[]): void {
  const bytes = layers.reduce((sum, { expandedBytes }) => sum + expandedBytes, code.expandedBytes)
  if (layers.length > 0 && bytes > MAX_EXPANDED_BYTES)
    throw new ScfError(
      'LimitExceeded.Layers',
      `code and layers have ${bytes} bytes when they are unpacked; at most ${MAX_EXPANDED_BYTES} are allowed`,
    )
}

/** The layers of a function as GetFunction answers them, also those that other APIs bound, or that are deleted. */
export function boundLayersBody(
  definitions: Definitions,
  account: string,
  spec: FunctionSpec,
  own: Extras,
): JsonObject[] {
  const bound = Array.isArray(own['layers']) ? own['layers'].filter(isBound) : []
  return (spec.layers ?? []).flatMap(({ digest }) => {
    const reference = bound.find((layer) => layer.digest === digest)
    const record =
      reference === undefined
        ? definitions.list('layer', `${account}/`).find(({ value }) => value.code.digest === digest)
        : definitions.get('layer', layerKey(account, reference.name, reference.version))
    if (record !== undefined) return [layerBody(record.value)]
    return reference === undefined ? [] : [deletedBody(reference)]
  })
}

function deletedBody({ name, version }: BoundLayer): JsonObject {
  return {
    CompatibleRuntimes: [],
    AddTime: '',
    Description: '',
    LicenseInfo: '',
    LayerVersion: version,
    LayerName: name,
    Status: 'Deleted',
    Stamp: 'Default',
    Tags: [],
  }
}

function isBound(value: unknown): value is BoundLayer {
  return (
    isJsonObject(value) &&
    typeof value['name'] === 'string' &&
    typeof value['version'] === 'number' &&
    typeof value['digest'] === 'string'
  )
}
