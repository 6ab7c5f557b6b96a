import { LATEST } from '../../model/function.ts'
import { isJsonObject } from '../../model/json.ts'
import type { TriggerRecord } from '../../store/definition-store.ts'
import { getAccount } from './account.ts'
import { readEntryFile } from './entry-file.ts'
import { ScfError } from './errors.ts'
import { field, integerField, objectField, objectListField, textField } from './fields.ts'
import { listFunctions } from './function-body.ts'
import { updateCodeAndConfiguration } from './function-update.ts'
import { createFunction, deleteFunction } from './functions.ts'
import { findCalls, retCodeOf, retMsgOf, shownMs, startOf } from './logs.ts'
import { TopLevel, topLevel, type Call, type JsonObject, type Operation } from './operation.ts'
import { qualifierOf, requireAt, requireLatest, targetOf } from './targets.ts'
import { formatTime } from './times.ts'
import {
  putTrigger,
  readTrigger,
  requireTrigger,
  triggerBody,
  triggerKeyOf,
  triggerOf,
  triggersOf,
  type TriggerReference,
} from './trigger-records.ts'
import { deleteTrigger } from './triggers.ts'

/** The legacy API counts billed time in steps of this many milliseconds. */
const BILLING_STEP_MS = 100

/** Parameters of the legacy API by what API 3.0 calls them, where only the first letter differs. */
const SAME_NAMES = [
  'functionName',
  'namespace',
  'handler',
  'description',
  'memorySize',
  'timeout',
  'runtime',
  'offset',
  'limit',
  'order',
  'orderby',
  'searchKey',
  'triggerName',
  'type',
  'triggerDesc',
] as const

/** Takes code as base64 that may begin with `@`, or says where in object storage it is. */
export const createFunctionLegacy: Operation = async (call, rooms) => {
  await createFunction(withSettings(call), rooms)
  return {}
}

/** Changes code and settings in one: what the request names. */
export const updateFunctionLegacy: Operation = async (call, rooms) => {
  const renamed = withSettings(call)
  const version = qualifierOf(renamed.params)
  if (version !== undefined && version !== LATEST)
    throw new ScfError('InvalidParameterValue.Qualifier', 'a published version cannot be changed')
  await updateCodeAndConfiguration(renamed, rooms)
  return {}
}

export const deleteFunctionLegacy: Operation = async (call, rooms) => {
  await deleteFunction(withNames(call), rooms)
  return {}
}

/** With `code` 1, also the source of the entry file. */
export const getFunctionLegacy: Operation = async (call, { catalogue, packages }) => {
  const { params } = withNames(call)
  const target = targetOf(withNames(call))
  const record = requireAt(catalogue, target, qualifierOf(params)).value
  const showsCode = (integerField(call.params, 'code', { max: 1 }) ?? 0) === 1
  const entry = showsCode ? await readEntryFile(packages, record.spec) : undefined
  const { spec } = record
  return {
    functionName: record.name,
    handler: spec.handler,
    description: record.description,
    memorySize: spec.memoryMib,
    timeout: Math.ceil(spec.timeoutMs / 1000),
    runtime: spec.runtime,
    codeSize: spec.code.sizeBytes,
    version: record.version,
    modTime: formatTime(record.modifiedAtMs),
    triggers: triggersOf(catalogue, target).map(legacyTrigger),
    ...(entry === undefined
      ? {}
      : {
          code: 'source' in entry ? entry.source : '',
          codeResult: 'source' in entry ? 'success' : 'failed',
          codeError: 'fault' in entry ? entry.fault : '',
        }),
  }
}

export const listFunctionsLegacy: Operation = async (call, rooms) => {
  const listed = await listFunctions(withNames(call), rooms)
  if (listed instanceof TopLevel) return listed
  const functions = Array.isArray(listed['Functions']) ? listed['Functions'].filter(isJsonObject) : []
  return {
    functions: functions.map((one) => ({
      functionName: one['FunctionName'],
      runtime: one['Runtime'],
      addTime: one['AddTime'],
      modTime: one['ModTime'],
    })),
    total: listed['TotalCount'],
  }
}

/** Its list stands beside `code`, and is no object as the other answers' `data`. */
export const getFunctionLogsLegacy: Operation = async (call, rooms) => {
  const renamed = withNames(call)
  const target = targetOf(renamed)
  const qualifier = qualifierOf(renamed.params)
  requireLatest(rooms.catalogue, target)
  const filter = objectField(call.params, 'filter')
  const { total, calls } = await findCalls(rooms, target, renamed.params, {
    retCode: filter && textField(filter, 'retCode', { max: 64 }),
    requestId: textField(call.params, 'requestId', { max: 128 }),
    keyword: undefined,
    version:
      qualifier === undefined ? undefined : requireAt(rooms.catalogue, target, qualifier).value.version,
  })
  return topLevel({
    total,
    data: calls.map((one) => ({
      functionName: target.name,
      requestId: one.requestId,
      retMsg: retMsgOf(one),
      startTime: formatTime(startOf(one)),
      retCode: retCodeOf(one),
      invokeFinished: 1,
      duration: shownMs(one.durationMs),
      billDuration: Math.ceil(one.billedDurationMs / BILLING_STEP_MS) * BILLING_STEP_MS,
      memUsage: Math.round(one.maxMemoryBytes),
      log: one.log,
    })),
  })
}

/**
 * Makes a trigger or changes it, its name too.
 *
 * @throws {ScfError} `UnsupportedOperation.Trigger`: those of buckets are not changed
 */
export const setTriggerLegacy: Operation = async (call, { catalogue, now }) => {
  const { params } = withNames(call)
  const target = targetOf(withNames(call))
  const reference = legacyTriggerOf(params)
  const newName = textField(call.params, 'newTriggerName')
  const renamed = newName ? triggerOf({ ...params, TriggerName: newName }) : reference
  const desc = textField(params, 'TriggerDesc', { required: true })
  const given = readTrigger({ ...params, TriggerDesc: desc }, renamed)
  await catalogue.change((draft) => {
    requireLatest(draft, target)
    const keyOf = (one: TriggerReference): string => triggerKeyOf(target, one)
    const before = draft.get('trigger', keyOf(reference))
    if (before !== undefined && reference.type === 'cos')
      throw new ScfError('UnsupportedOperation.Trigger', 'a trigger of type cos cannot be modified')
    if (renamed.name !== reference.name) {
      const old = requireTrigger(draft, target, reference, undefined)
      if (draft.get('trigger', keyOf(renamed)) !== undefined)
        throw new ScfError('ResourceInUse.TriggerName', `trigger '${renamed.name}' already exists`)
      draft.delete('trigger', old.key)
      draft.put('trigger', keyOf(renamed), { ...old.value, name: renamed.name })
    }
    putTrigger(draft, target, renamed, given, now())
  })
  return {}
}

export const deleteTriggerLegacy: Operation = async (call, rooms) => {
  const renamed = withNames(call)
  legacyTriggerOf(renamed.params)
  await deleteTrigger(renamed, rooms)
  return {}
}

/** The vendor does not publish its shape: what GetAccount answers, in this API's case. */
export const getAccountSettingsLegacy: Operation = async (call, rooms) => {
  const account = await getAccount(call, rooms)
  const members = account instanceof TopLevel ? account.members : account
  return Object.fromEntries(Object.entries(members).map(([name, value]) => [lowered(name), inLower(value)]))
}

/** The call as API 3.0 would name what it says. */
function withNames(call: Call): Call {
  const params: Record<string, unknown> = { Qualifier: field(call.params, 'version') }
  for (const name of SAME_NAMES) params[raised(name)] = field(call.params, name)
  params['OrderBy'] = params['Orderby']
  return { ...call, params }
}

/** As {@link withNames}, with the settings of a function. */
function withSettings(call: Call): Call {
  const renamed = withNames(call)
  const environment = objectField(call.params, 'environment', { code: 'InvalidParameterValue.Environment' })
  const vpc = objectField(call.params, 'vpc')
  return {
    ...renamed,
    params: {
      ...renamed.params,
      Code: codeOf(call),
      Environment: environment && {
        Variables: objectListField(environment, 'variables', {
          code: 'InvalidParameterValue.Environment',
        })?.map((variable) => ({ Key: field(variable, 'key'), Value: field(variable, 'value') })),
      },
      VpcConfig: vpc && { VpcId: field(vpc, 'vpcId'), SubnetId: field(vpc, 'subnetId') },
    },
  }
}

function codeOf(call: Call): JsonObject | undefined {
  const zip = field(call.params, 'code')
  const stored = objectField(call.params, 'codeObject', { code: 'InvalidParameterValue.Code' })
  if (zip !== undefined && stored !== undefined)
    throw new ScfError('InvalidParameterValue.Code', 'code and codeObject exclude each other')
  if (zip !== undefined && typeof zip !== 'string')
    throw new ScfError(
      'InvalidParameterValue.Code',
      "code must be a text: the base64 of a zip archive with '@' in front. This API has no code.zipFile or code.ZipFile",
    )
  if (zip !== undefined) return { ZipFile: zip }
  return (
    stored && {
      CosBucketName: field(stored, 'cosBucketName'),
      CosObjectName: field(stored, 'cosObjectName'),
    }
  )
}

function legacyTriggerOf(params: JsonObject): TriggerReference {
  const reference = triggerOf(params)
  if (reference.type !== 'timer' && reference.type !== 'cos')
    throw new ScfError('UnsupportedOperation.Trigger', 'type must be timer or cos')
  return reference
}

function legacyTrigger(trigger: TriggerRecord): JsonObject {
  const body = triggerBody(trigger)
  return {
    triggerName: body['TriggerName'],
    type: body['Type'],
    triggerDesc: body['TriggerDesc'],
    addTime: body['AddTime'],
    modTime: body['ModTime'],
  }
}

function raised(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1)
}

function lowered(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1)
}

/** Of an answer of our own, which is a few levels deep. */
function inLower(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inLower)
  if (!isJsonObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [lowered(name), inLower(inner)]))
}
