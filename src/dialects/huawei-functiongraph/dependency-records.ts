import { createHash } from 'node:crypto'
import type { Definitions } from '../../engine/catalogue.ts'
import { extrasOf } from '../extras.ts'
import { layerDigests, type CodePackage, type FunctionSpec } from '../../model/function.ts'
import type { Extras, LayerRecord, Stored } from '../../store/definition-store.ts'
import { FssError } from './errors.ts'
import { stringListField } from './fields.ts'
import { derivedId, unixSeconds } from './names.ts'
import { DIALECT, type Call, type JsonObject, type Rooms } from './operation.ts'

/** Source: the vendor's limits page. */
const MAX_DEPENDENCIES = 20

/** The member of a function's extras that names its dependencies, in the order of its layers. */
const MEMBER = 'dependencies'

/** What this API keeps with a version of a layer. */
export interface DependencyFacts {
  /** Names the version. */
  readonly id: string
  /** Names the dependency: the same in all its versions. */
  readonly dependencyId: string
  readonly runtime: string
  readonly fileName: string
  /** MD5 of the archive, lower-case hex. */
  readonly etag: string
  /** Where the uploader said the archive was; nothing is fetched from there. */
  readonly link: string
}

/** The facts of a layer. One made through another API has ids made from its name, and its SHA-256 for an etag. */
export function dependencyFactsOf({ account, name, version, code, extras }: LayerRecord): DependencyFacts {
  const { id, dependencyId, runtime, fileName, etag, link } = extrasOf(extras, DIALECT)
  const text = (value: unknown, fallback: string): string => (typeof value === 'string' ? value : fallback)
  return {
    id: text(id, derivedId('layer', account, name, String(version))),
    dependencyId: text(dependencyId, derivedId('layer', account, name)),
    runtime: text(runtime, ''),
    fileName: text(fileName, `${name}.zip`),
    etag: text(etag, code.digest),
    link: text(link, ''),
  }
}

/** A version of a dependency as lists and functions show it. */
export function dependencyBody(call: Call, record: LayerRecord): JsonObject {
  const { id, dependencyId, runtime, fileName, etag, link } = dependencyFactsOf(record)
  return {
    id,
    owner: call.domainId,
    link,
    runtime,
    etag,
    size: record.code.sizeBytes,
    name: record.name,
    description: record.description,
    file_name: fileName,
    version: record.version,
    dep_id: dependencyId,
    last_modified: unixSeconds(record.modifiedAtMs),
  }
}

/** All versions of all dependencies of an account, by name and number. */
export function allDependencies(definitions: Definitions, account: string): readonly Stored<'layer'>[] {
  return definitions.list('layer', `${account}/`)
}

/**
 * The dependencies a request names, as a function keeps them; undefined when it names none, not even an empty list.
 *
 * @throws {FssError} `FSS.1024`: the list is none, or too long; `FSS.1056`: there is no such version
 */
export function readDependencies(
  definitions: Definitions,
  account: string,
  body: JsonObject,
): { readonly layers: readonly CodePackage[]; readonly ids: readonly string[] } | undefined {
  const code = 'FSS.1024'
  const ids =
    stringListField(body, 'depend_version_list', MAX_DEPENDENCIES, code) ??
    stringListField(body, 'depend_list', MAX_DEPENDENCIES, code)
  if (ids === undefined) return undefined
  const unique = [...new Set(ids)]
  const known = unique.length === 0 ? [] : allDependencies(definitions, account)
  const found = unique.map((id) => {
    // Older clients name the dependency and mean its newest version.
    const version =
      known.find(({ value }) => dependencyFactsOf(value).id === id) ??
      known.findLast(({ value }) => dependencyFactsOf(value).dependencyId === id)
    if (version === undefined) throw new FssError('FSS.1056', `not found the dependency '${id.slice(0, 64)}'`)
    return version.value
  })
  return {
    layers: found.map((value) => value.code),
    ids: found.map((value) => dependencyFactsOf(value).id),
  }
}

/** Makes the tree of a function's dependencies ahead of its change, so that no other change waits for it. */
export async function layOut(
  { packages }: Pick<Rooms, 'packages'>,
  dependencies: { readonly layers: readonly CodePackage[] } | undefined,
): Promise<void> {
  if (dependencies === undefined || dependencies.layers.length === 0) return
  await packages.ensureLayers(layerDigests(dependencies))
}

/** A function's own extras with the ids of its dependencies. */
export function withDependencyIds(own: Extras, ids: readonly string[]): Extras {
  return { ...own, [MEMBER]: ids }
}

/** The versions that a function's layers are, in their order; those that are no record any more are left out. */
export function dependenciesOf(
  definitions: Definitions,
  account: string,
  { layers = [] }: FunctionSpec,
  own: Extras,
): readonly LayerRecord[] {
  if (layers.length === 0) return []
  const ids: unknown = own[MEMBER]
  const known = allDependencies(definitions, account)
  return layers.flatMap(({ digest }, at) => {
    const same = known.filter(({ value }) => value.code.digest === digest)
    const id: unknown = Array.isArray(ids) ? ids[at] : undefined
    const version = same.find(({ value }) => dependencyFactsOf(value).id === id) ?? same[0]
    return version === undefined ? [] : [version.value]
  })
}

/** MD5 of an archive, which is what this API shows of it. */
export function etagOfArchive(chunks: readonly Buffer[]): string {
  const hash = createHash('md5')
  for (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}
