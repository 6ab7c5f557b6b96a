import { newId } from '../../definitions/ids.ts'
import { publishLayer } from '../../definitions/layers.ts'
import type { Definitions, Draft } from '../../engine/catalogue.ts'
import { layerKey } from '../../engine/keys.ts'
import { storedZip } from '../../intake/stored-zip.ts'
import type { CodePackage } from '../../model/function.ts'
import type { LayerRecord, Stored } from '../../store/definition-store.ts'
import { withExtras } from '../extras.ts'
import { MAX_PACKAGE_BYTES, sizeOf, takeFile } from './code-intake.ts'
import {
  allDependencies,
  dependencyBody,
  dependencyFactsOf,
  dependenciesOf,
  etagOfArchive,
  type DependencyFacts,
} from './dependency-records.ts'
import { FssError } from './errors.ts'
import { enumField, field, required, stringField } from './fields.ts'
import { ownOf } from './function-edit.ts'
import { DEPENDENCY_NAME } from './names.ts'
import { DIALECT, type Call, type JsonObject, type Operation, type Rooms } from './operation.ts'
import { pageMembers, pageOf, type Page } from './paging.ts'

const DESCRIPTION_CHARS = 512

/** Longest page, and the default. Source: what clients ask for. */
const MAX_PAGE = 1000

/**
 * POST /fgs/dependencies/version: a dependency, or the next version of the one of that name.
 *
 * @throws {FssError} `FSS.0400`: a member; `FSS.1032`: `depend_type`; `FSS.1011`, `FSS.1071`: the file
 */
export const createDependencyVersion: Operation = async (call, rooms) => {
  const given = readFields(call.body)
  const archive = await takeArchive(call, rooms)
  const record = await rooms.catalogue.change((draft) => addVersion(draft, call, rooms, given, archive))
  return { status: 200, body: dependencyBody(call, record) }
}

/** POST /fgs/dependencies, the older operation: a dependency of a new name. @throws {FssError} `FSS.1065`: the name is taken */
export const createDependency: Operation = async (call, rooms) => {
  const given = readFields(call.body)
  requireFreeName(rooms.catalogue, call, given.name)
  const archive = await takeArchive(call, rooms)
  const record = await rooms.catalogue.change((draft) => {
    requireFreeName(draft, call, given.name)
    return addVersion(draft, call, rooms, given, archive)
  })
  return { status: 200, body: dependencyBody(call, record) }
}

/** GET /fgs/dependencies: the newest version of each; `name` (a part of it), `runtime` and `dependency_type` narrow it. */
export const listDependencies: Operation = (call, { catalogue }) => {
  const { query } = call
  const name = query.get('name') ?? ''
  const runtime = query.get('runtime') ?? ''
  // There are no public dependencies here.
  const isPublic = query.get('dependency_type') === 'public' || query.get('ispublic') === 'true'
  const newest = new Map<string, LayerRecord>()
  if (!isPublic)
    for (const { value } of allDependencies(catalogue, call.accountId)) newest.set(value.name, value)
  const found = [...newest.values()].filter(
    (value) => value.name.includes(name) && (runtime === '' || dependencyFactsOf(value).runtime === runtime),
  )
  const page = pageOf(query, found, {
    lengthName: query.has('maxitems') ? 'maxitems' : 'limit',
    default: MAX_PAGE,
    max: MAX_PAGE,
  })
  return { status: 200, body: listBody(call, page) }
}

/** GET /fgs/dependencies/{depend_id}/version: newest first. @throws {FssError} `FSS.1056` */
export const listDependencyVersion: Operation = (call, { catalogue }) => {
  const versions = requireVersions(catalogue, call).toReversed()
  const page = pageOf(
    call.query,
    versions.map(({ value }) => value),
    { lengthName: 'maxitems', default: MAX_PAGE, max: MAX_PAGE },
  )
  return { status: 200, body: listBody(call, page, { is_shared: false }) }
}

/** GET /fgs/dependencies/{depend_id}/version/{version}: with a link that works for ten minutes. @throws {FssError} `FSS.1056` */
export const showDependencyVersion: Operation = (call, rooms) => ({
  status: 200,
  body: shownBody(call, rooms, requireVersion(rooms.catalogue, call).value),
})

/** DELETE of the same path @throws {FssError} `FSS.1033`: a function has it */
export const deleteDependencyVersion: Operation = async (call, { catalogue }) => {
  await catalogue.change((draft) => removeVersions(draft, call, [requireVersion(draft, call)]))
  return { status: 204 }
}

/** GET /fgs/dependencies/{id}, the older operation: a version by its id, or the newest by the dependency's. */
export const showDependency: Operation = (call, rooms) => ({
  status: 200,
  body: shownBody(call, rooms, requireAny(rooms.catalogue, call).value),
})

/**
 * PUT of the same path. A version never changes: what the request makes is the next one, and the id it names leads there from
 * now on. Functions keep what they have.
 *
 * @throws {FssError} `FSS.1056`; `FSS.1065`: the new name is taken; `FSS.1033`: it has a new name, and a function has it
 */
export const updateDependency: Operation = async (call, rooms) => {
  const seen = requireAny(rooms.catalogue, call).value
  const { runtime } = dependencyFactsOf(seen)
  const given = readFields({ name: seen.name, runtime, description: seen.description, ...call.body })
  const hasFile =
    call.takeFile !== undefined || ['depend_file', 'depend_link'].some((name) => field(call.body, name))
  const taken = hasFile ? await takeArchive(call, rooms) : undefined
  const record = await rooms.catalogue.change((draft) => {
    const before = requireAny(draft, call)
    const facts = dependencyFactsOf(before.value)
    const { etag, link } = facts
    const archive = taken ?? { code: before.value.code, etag, link }
    if (given.name === before.value.name) {
      const own = { ...facts, id: newId() }
      draft.put('layer', before.key, {
        ...before.value,
        extras: withExtras(before.value.extras, DIALECT, own),
      })
    } else {
      requireFreeName(draft, call, given.name)
      removeVersions(draft, call, [before])
    }
    return addVersion(draft, call, rooms, given, archive, facts)
  })
  return { status: 200, body: dependencyBody(call, record) }
}

/** DELETE of the same path: with a version's id that version, with the dependency's all. @throws {FssError} `FSS.1033` */
export const deleteDependency: Operation = async (call, { catalogue }) => {
  await catalogue.change((draft) => {
    const id = call.params['depend_id'] ?? ''
    const found = requireAny(draft, call)
    const isVersion = dependencyFactsOf(found.value).id === id
    removeVersions(draft, call, isVersion ? [found] : requireVersions(draft, call))
  })
  return { status: 204 }
}

interface GivenFields {
  readonly name: string
  readonly runtime: string
  readonly description: string
}

interface Archive {
  readonly code: CodePackage
  readonly etag: string
  readonly link: string
}

function readFields(body: JsonObject): GivenFields {
  return {
    name: required(stringField(body, 'name', { pattern: DEPENDENCY_NAME }), 'name'),
    runtime: required(stringField(body, 'runtime', { max: 64, code: 'FSS.1005' }), 'runtime', 'FSS.1005'),
    description: stringField(body, 'description', { max: DESCRIPTION_CHARS, code: 'FSS.1019' }) ?? '',
  }
}

/** No file at all, or one that is elsewhere and not fetched, is an archive of none. */
async function takeArchive(call: Call, { packages }: Rooms): Promise<Archive> {
  enumField(call.body, 'depend_type', ['zip', 'obs'], 'FSS.1032')
  const link = stringField(call.body, 'depend_link', { max: 2048, code: 'FSS.1010' }) ?? ''
  const chunks = (await takeFile(call, 'depend_file', 'FSS.1024')) ?? [storedZip([])]
  if (sizeOf(chunks) > MAX_PACKAGE_BYTES)
    throw new FssError('FSS.1071', `the dependency exceeds ${MAX_PACKAGE_BYTES} bytes`)
  return { code: await packages.put(chunks), etag: etagOfArchive(chunks), link }
}

/** @param ids Those it is to have; absent: a new one, and that of its name's versions. */
function addVersion(
  draft: Draft,
  call: Call,
  { now }: Rooms,
  { name, runtime, description }: GivenFields,
  { code, etag, link }: Archive,
  ids?: Pick<DependencyFacts, 'id' | 'dependencyId'>,
): LayerRecord {
  const account = call.accountId
  const before = draft.list('layer', `${account}/${name}/`).at(-1)?.value
  const facts: DependencyFacts = {
    id: ids?.id ?? newId(),
    dependencyId:
      ids?.dependencyId ?? (before === undefined ? newId() : dependencyFactsOf(before).dependencyId),
    runtime,
    fileName: `${name}.zip`,
    etag,
    link,
  }
  return publishLayer(draft, { account, name, description, code, extras: { [DIALECT]: facts }, nowMs: now() })
}

/** Removes versions that no function has, at none of its own versions. */
function removeVersions(draft: Draft, call: Call, versions: readonly Stored<'layer'>[]): void {
  const account = call.accountId
  const keys = new Set(versions.map(({ key }) => key))
  for (const { value } of draft.list('function', `${account}/`))
    for (const { name, version } of dependenciesOf(draft, account, value.spec, ownOf(value)))
      if (keys.has(layerKey(account, name, version)))
        throw new FssError('FSS.1033', `the dependency is in use by function '${value.name}'`)
  for (const key of keys) draft.delete('layer', key)
}

function requireFreeName(definitions: Definitions, call: Call, name: string): void {
  if (definitions.list('layer', `${call.accountId}/${name}/`).length > 0)
    throw new FssError('FSS.1065', `the dependency '${name}' exists`)
}

/** The versions of the dependency that the path names, oldest first. @throws {FssError} `FSS.1056` */
function requireVersions(definitions: Definitions, call: Call): readonly Stored<'layer'>[] {
  const id = call.params['depend_id'] ?? ''
  const found = allDependencies(definitions, call.accountId).filter(
    ({ value }) => dependencyFactsOf(value).dependencyId === id,
  )
  if (found.length === 0) throw unknown(id)
  return found
}

function requireVersion(definitions: Definitions, call: Call): Stored<'layer'> {
  const version = call.params['version'] ?? ''
  const found = requireVersions(definitions, call).find(({ value }) => String(value.version) === version)
  if (found === undefined) throw unknown(version)
  return found
}

/** A version by its id, or the newest of a dependency by the dependency's. */
function requireAny(definitions: Definitions, call: Call): Stored<'layer'> {
  const id = call.params['depend_id'] ?? ''
  const all = allDependencies(definitions, call.accountId)
  const found = all.find(({ value }) => dependencyFactsOf(value).id === id)
  return found ?? requireVersions(definitions, call).at(-1) ?? raise(unknown(id))
}

function shownBody(call: Call, { links }: Rooms, record: LayerRecord): JsonObject {
  return {
    ...dependencyBody(call, record),
    download_link: links.link(call.origin, record.code.digest),
    is_shared: false,
  }
}

function listBody(call: Call, page: Page<LayerRecord>, more: JsonObject = {}): JsonObject {
  return {
    dependencies: page.items.map((value) => ({ ...dependencyBody(call, value), ...more })),
    ...pageMembers(page),
  }
}

function unknown(id: string): FssError {
  return new FssError('FSS.1056', `not found the dependency '${id.slice(0, 64)}'`)
}

function raise(error: Error): never {
  throw error
}
