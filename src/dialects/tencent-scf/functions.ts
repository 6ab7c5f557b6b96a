import { addFunction, changeFunction, type FunctionChange } from '../../definitions/functions.ts'
import { ensureNamespace } from '../../definitions/namespaces.ts'
import { removeFunction } from '../../definitions/remove.ts'
import type { Definitions, Draft } from '../../engine/catalogue.ts'
import { functionKey, tagsKey } from '../../engine/keys.ts'
import type { CodePackage, FunctionName, FunctionSpec } from '../../model/function.ts'
import type { FunctionRecord, Stored } from '../../store/store.ts'
import { extrasOf, withExtras } from '../extras.ts'
import { carriesZip, codeSourceOf, takeCode } from './code.ts'
import { applyReserve } from './concurrency.ts'
import { ScfError, type ScfCode } from './errors.ts'
import { field, flagField, textField } from './fields.ts'
import { appIdOf, uinOf } from './identity.ts'
import { bindLayers, readLayers, requireLayersFit } from './bound-layers.ts'
import { DIALECT, type Call, type JsonObject, type Operation, type Rooms } from './operation.ts'
import { readHandler, readRun, type RunSettings } from './run-settings.ts'
import { readShown, shownOf, type ShownSettings } from './shown-settings.ts'
import { readTags, type Tags } from './tags.ts'
import { newTargetOf, qualifierOf, requireAt, requireLatest, requireNamespace, targetOf } from './targets.ts'
import { publish, removeVersion } from './versions.ts'

/** Longest description, characters. Source: the vendor's CreateFunction page. */
const MAX_DESCRIPTION_CHARS = 1000
const MAX_ROLE_CHARS = 256

/** What an update names; absent members stay as they are. */
interface FunctionUpdate {
  /** Reads the settings the action takes, over those that are there. */
  readonly settings?: JsonObject
  /** Reads the few settings that come with code. */
  readonly besideCode?: JsonObject
  readonly code?: CodePackage
  /** Freezes the result as a new version. */
  readonly publishes: boolean
}

/** The function is ready when the answer is sent: no client has to wait for a status. */
export const createFunction: Operation = async (call, rooms) => {
  const { catalogue, packages } = rooms
  const target = newTargetOf(call)
  refuseOtherTypes(call.params)
  const isAsyncRun = flagField(call.params, 'AsyncRunEnable') ?? false
  const run = readRun(call.params, undefined, isAsyncRun)
  const shown = readShown(call.params, undefined)
  const description = readDescription(call.params) ?? ''
  const role = readRole(call.params) ?? ''
  const references = readLayers(call.params) ?? []
  const tags = readTags(call.params) ?? {}
  const source = codeSourceOf(call.params)
  if (source === call.params || !carriesZip(call, source))
    throw new ScfError('MissingParameter.Code', 'the request is missing the parameter Code.ZipFile')
  requireNamespace(catalogue, target.account, target.namespace)
  requireFree(catalogue, target)
  const { packages: layersAhead } = bindLayers(catalogue, target.account, references)
  rooms.requireRuntime(run.runtime)
  const code = await takeCode(call, source, packages)
  requireLayersFit(code, layersAhead)
  await packages.ensureLayers(layersAhead.map(({ digest }) => digest))
  const nowMs = rooms.now()
  await catalogue.change((draft) => {
    const { account, namespace } = target
    requireNamespace(draft, account, namespace)
    ensureNamespace(draft, account, namespace, nowMs)
    requireFree(draft, target)
    const layers = bindLayers(draft, account, references)
    const spec: FunctionSpec = {
      ...run,
      contract: DIALECT,
      code,
      ...(layers.packages.length === 0 ? {} : { layers: layers.packages }),
    }
    const facts = { appId: appIdOf(account), uin: uinOf(account), ...(role === '' ? {} : { role }) }
    const extras = withExtras({}, DIALECT, { settings: shown, layers: layers.bound })
    addFunction(draft, { ...target, description, spec, facts, extras }, nowMs)
    putTags(draft, target, tags, nowMs)
  })
  return {}
}

/** Takes new code, and a new handler if one is named. @throws {ScfError} */
export const updateFunctionCode: Operation = async (call, rooms) => {
  const target = targetOf(call)
  requireLatest(rooms.catalogue, target)
  const publishes = flagField(call.params, 'Publish') ?? false
  const source = codeSourceOf(call.params)
  if (!carriesZip(call, source))
    throw new ScfError('MissingParameter.Code', 'the request is missing the parameter Code.ZipFile')
  checkUpdate(rooms.catalogue, target, { besideCode: call.params })
  const code = await takeCode(call, source, rooms.packages)
  await update(rooms, target, { besideCode: call.params, code, publishes })
  return {}
}

/** Changes what the request names. The runtime stays, whatever the request says. @throws {ScfError} */
export const updateFunctionConfiguration: Operation = async (call, rooms) => {
  const target = targetOf(call)
  const publishes = flagField(call.params, 'Publish') ?? false
  const after = checkUpdate(rooms.catalogue, target, { settings: call.params })
  await layOutLayers(rooms, call.params, after)
  await update(rooms, target, { settings: call.params, publishes })
  return {}
}

/** Changes settings, and code where the request has some, as the legacy API does in one action. @throws {ScfError} */
export async function updateCodeAndConfiguration(call: Call, rooms: Rooms): Promise<void> {
  const target = targetOf(call)
  requireLatest(rooms.catalogue, target)
  const source = codeSourceOf(call.params)
  const hasCode = source !== call.params && carriesZip(call, source)
  checkUpdate(rooms.catalogue, target, { settings: call.params })
  const code = hasCode ? await takeCode(call, source, rooms.packages) : undefined
  await update(rooms, target, {
    settings: call.params,
    ...(code === undefined ? {} : { code }),
    publishes: false,
  })
}

/** Removes the function with all its versions, or the one version that `Qualifier` names. @throws {ScfError} */
export const deleteFunction: Operation = async (call, { catalogue }) => {
  const target = targetOf(call)
  const qualifier = qualifierOf(call.params)
  await catalogue.change((draft) => {
    const head = requireLatest(draft, target)
    if (qualifier === undefined) removeFunction(draft, head.value)
    else removeVersion(draft, target, qualifier)
  })
  return {}
}

/** A link by which the package is downloaded without a signature, and its digest. @throws {ScfError} */
export const getFunctionAddress: Operation = (call, { catalogue, links }) => {
  const { digest } = requireAt(catalogue, targetOf(call), qualifierOf(call.params)).value.spec.code
  return { Url: links.link(call.origin, digest), CodeSha256: digest }
}

async function update(rooms: Rooms, target: FunctionName, change: FunctionUpdate): Promise<void> {
  const nowMs = rooms.now()
  await rooms.catalogue.change((draft) => {
    const head = requireLatest(draft, target)
    const stored = changeFunction(draft, head, changeOf(draft, head.value, change), nowMs)
    if (stored.value.spec.memoryMib !== head.value.spec.memoryMib) applyReserve(draft, head.value, nowMs)
    if (change.publishes) publish(draft, stored, '', nowMs)
  })
}

/** Layers that an update binds are on the disk before the function has them. */
async function layOutLayers(
  { packages }: Pick<Rooms, 'packages'>,
  params: JsonObject,
  { spec }: Pick<FunctionChange, 'spec'>,
): Promise<void> {
  if (readLayers(params) !== undefined)
    await packages.ensureLayers((spec?.layers ?? []).map(({ digest }) => digest))
}

/** Finds faults of an update before its code is taken in. @returns What it comes to now. @throws {ScfError} */
function checkUpdate(
  definitions: Definitions,
  target: FunctionName,
  change: Omit<FunctionUpdate, 'publishes'>,
): FunctionChange {
  return changeOf(definitions, requireLatest(definitions, target).value, { ...change, publishes: false })
}

/** What an update makes of a function. */
function changeOf(
  definitions: Definitions,
  before: FunctionRecord,
  { settings, besideCode, code }: FunctionUpdate,
): FunctionChange {
  const shownBefore = shownOf(before)
  const isAsyncRun = shownBefore['AsyncRunEnable'] === 'TRUE'
  const references = settings && readLayers(settings)
  const layers = references && bindLayers(definitions, before.account, references)
  const run: RunSettings =
    settings === undefined ? withHandler(before.spec, besideCode) : readRun(settings, before.spec, isAsyncRun)
  const { layers: layersBefore, ...specBefore } = before.spec
  const packages = layers?.packages ?? layersBefore ?? []
  if (layers !== undefined || code !== undefined) requireLayersFit(code ?? before.spec.code, packages)
  const spec: FunctionSpec = {
    ...specBefore,
    ...run,
    code: code ?? before.spec.code,
    ...(packages.length === 0 ? {} : { layers: packages }),
  }
  const own = extrasOf(before.extras, DIALECT)
  const shown: ShownSettings = readShown(settings ?? installOnly(besideCode), shownBefore)
  return {
    description: (settings && readDescription(settings)) ?? before.description,
    spec,
    facts: withRole(before.facts, settings && readRole(settings)),
    extras: withExtras(before.extras, DIALECT, {
      ...own,
      settings: shown,
      ...(layers === undefined ? {} : { layers: layers.bound }),
    }),
  }
}

function withHandler(spec: FunctionSpec, params: JsonObject = {}): RunSettings {
  const { code: _code, contract: _contract, layers: _layers, ...run } = spec
  return { ...run, handler: readHandler(params, spec.runtime) ?? spec.handler }
}

/** The one shown setting that UpdateFunctionCode takes. */
function installOnly(params: JsonObject = {}): JsonObject {
  return { InstallDependency: field(params, 'InstallDependency') }
}

function withRole(facts: FunctionRecord['facts'], role: string | undefined): FunctionRecord['facts'] {
  if (role === undefined) return facts
  const { role: _, ...others } = facts
  return role === '' ? others : { ...others, role }
}

function readDescription(params: JsonObject): string | undefined {
  return textField(params, 'Description', {
    max: MAX_DESCRIPTION_CHARS,
    code: 'InvalidParameterValue.Description',
  })
}

function readRole(params: JsonObject): string | undefined {
  return textField(params, 'Role', { max: MAX_ROLE_CHARS, pattern: /^[^\p{Cc}]*$/u })
}

/** Functions that serve HTTP themselves are not run by this server. */
function refuseOtherTypes(params: JsonObject): void {
  const type = textField(params, 'Type', { max: 64, code: 'InvalidParameterValue.Type' }) ?? ''
  if (type === '' || type === 'Event') return
  const code: ScfCode = type === 'HTTP' ? 'UnsupportedOperation' : 'InvalidParameterValue.Type'
  throw new ScfError(code, `functions of type '${type}' are not supported by this server; use Event`)
}

function requireFree(definitions: Definitions, { account, namespace, name }: FunctionName): void {
  if (definitions.get('function', functionKey(account, namespace, name)) !== undefined)
    throw new ScfError(
      'ResourceInUse.Function',
      `function '${name}' already exists in namespace '${namespace}'`,
    )
}

function putTags(
  draft: Draft,
  { account, namespace, name }: FunctionName,
  tags: Tags,
  nowMs: number,
): Stored<'tags'> | undefined {
  if (Object.keys(tags).length === 0) return undefined
  const resource = `${namespace}/${name}`
  return draft.put('tags', tagsKey(account, resource), {
    account,
    resource,
    tags,
    createdAtMs: nowMs,
    modifiedAtMs: nowMs,
  })
}
