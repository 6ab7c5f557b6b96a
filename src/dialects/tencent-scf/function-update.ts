import { changeFunction, type FunctionChange } from '../../definitions/functions.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import { layerDigests, type CodePackage, type FunctionName, type FunctionSpec } from '../../model/function.ts'
import type { FunctionRecord } from '../../store/definition-store.ts'
import { extrasOf, withExtras } from '../extras.ts'
import { bindLayers, readLayers, requireLayersFit } from './bound-layers.ts'
import { carriesZip, codeSourceOf, takeCode } from './code.ts'
import { applyReserve } from './concurrency.ts'
import { ScfError } from './errors.ts'
import { field, flagField } from './fields.ts'
import { readDescription, readRole } from './function-texts.ts'
import { DIALECT, type Call, type JsonObject, type Operation, type Rooms } from './operation.ts'
import { readHandler, readRun, type RunSettings } from './run-settings.ts'
import { readShown, shownOf, type ShownSettings } from './shown-settings.ts'
import { requireLatest, targetOf } from './targets.ts'
import { publish } from './versions.ts'

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
  if (readLayers(params) !== undefined) await packages.ensureLayers(layerDigests(spec ?? {}))
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
  const { layers: layersBefore, network: _network, ...specBefore } = before.spec
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
