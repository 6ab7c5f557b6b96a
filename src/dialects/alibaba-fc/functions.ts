import { findFunction } from '../../definitions/find-function.ts'
import { addFunction, changeFunction } from '../../definitions/functions.ts'
import { namespaceFunctions } from '../../definitions/namespaces.ts'
import { removeFunction } from '../../definitions/remove.ts'
import { functionKey } from '../../engine/keys.ts'
import { LATEST, withNetwork, type FunctionSpec } from '../../model/function.ts'
import type { FunctionRecord, Stored } from '../../store/definition-store.ts'
import { takeCode } from './code.ts'
import { FcError } from './errors.ts'
import { required, stringField } from './fields.ts'
import { readRun, readShown, settingsBody } from './function-settings.ts'
import { versionThrough } from './lookup.ts'
import { etagOf, formatTime, requireFunctionName } from './names.ts'
import type { Answer, ApiVersion, Call, Operation } from './operation.ts'
import { DIALECT, ownExtras, withOwnExtras } from './own-extras.ts'
import { page } from './paging.ts'
import { requireMatch } from './precondition.ts'
import { networkOf, settingsOf } from './service-settings.ts'
import { pathParameter, requireService, serviceOf } from './target.ts'

/** Longest description, characters. Source: the vendor's API reference. */
const MAX_DESCRIPTION_CHARS = 256

/** POST /services/{service}/functions */
export const createFunction: Operation = async (call, rooms) => {
  const service = serviceOf(call)
  const name = requireFunctionName(required(stringField(call.body, 'functionName'), 'functionName'))
  const key = functionKey(call.accountId, service, name)
  requireService(rooms.catalogue, call.accountId, service)
  if (rooms.catalogue.get('function', key) !== undefined) throw alreadyExists(service, name)
  const description = stringField(call.body, 'description', { max: MAX_DESCRIPTION_CHARS }) ?? ''
  const run = readRun(call.body, {})
  const extras = withOwnExtras(undefined, readShown(call.body, run, {}))
  rooms.requireRuntime(run.runtime)
  const code = await takeCode(call, rooms.packages)
  if (code === undefined)
    throw new FcError('InvalidArgument', 'Either ossBucketName/ossObjectName or zipFile must be set')
  const atMs = rooms.now()
  const record = await rooms.catalogue.change((draft) => {
    const { value } = requireService(draft, call.accountId, service)
    const { facts } = value
    const spec = withNetwork({ ...run, contract: DIALECT, code }, networkOf(settingsOf(value)))
    if (draft.get('function', key) !== undefined) throw alreadyExists(service, name)
    const made = { account: call.accountId, namespace: service, name, description, spec, facts, extras }
    return addFunction(draft, made, atMs)
  })
  return answerWith(call.api, record)
}

/** GET /services/{service}/functions/{function} */
export const getFunction: Operation = (call, { catalogue }) => {
  const { service, name } = targetOf(call)
  return answerWith(call.api, findFunction(catalogue, call.accountId, service, name, call.qualifier))
}

/** GET /services/{service}/functions */
export const listFunctions: Operation = (call, { catalogue }) => {
  const service = serviceOf(call)
  const version = versionThrough(catalogue, call.accountId, service, call.qualifier)
  const functions = namespaceFunctions(catalogue, call.accountId, service, version)
  const { items, nextToken } = page(call.query, functions, ({ value }) => value.name)
  return {
    status: 200,
    body: { functions: items.map(({ value }) => functionBody(call.api, value)), nextToken },
  }
}

/** PUT /services/{service}/functions/{function}: members that are absent or null stay as they are. */
export const updateFunction: Operation = async (call, rooms) => {
  const { service, name } = latestOf(call)
  const seen = findFunction(rooms.catalogue, call.accountId, service, name)
  requireMatch(call, seen)
  const description = stringField(call.body, 'description', { max: MAX_DESCRIPTION_CHARS })
  const runtime = readRun(call.body, seen.value.spec).runtime
  if (runtime !== seen.value.spec.runtime) rooms.requireRuntime(runtime)
  const code = await takeCode(call, rooms.packages)
  const atMs = rooms.now()
  const record = await rooms.catalogue.change((draft) => {
    const before = findFunction(draft, call.accountId, service, name)
    requireMatch(call, before)
    const { value } = before
    const run = readRun(call.body, value.spec)
    const { initializer: _initializer, ...kept } = value.spec
    // What no request of this API names stays, such as layers.
    const spec: FunctionSpec = { ...kept, ...run, code: code ?? value.spec.code }
    const shown = readShown(call.body, run, ownExtras(value))
    const change = {
      ...(description !== undefined && { description }),
      spec,
      extras: withOwnExtras(value, shown),
    }
    return changeFunction(draft, before, change, atMs)
  })
  return answerWith(call.api, record)
}

/** DELETE /services/{service}/functions/{function}: what was published with its service stays. */
export const deleteFunction: Operation = async (call, { catalogue }) => {
  const { service, name } = latestOf(call)
  await catalogue.change((draft) => {
    const record = findFunction(draft, call.accountId, service, name)
    requireMatch(call, record)
    removeFunction(draft, record.value)
  })
  return { status: 204 }
}

/** GET /services/{service}/functions/{function}/code */
export const getFunctionCode: Operation = (call, { catalogue, links }) => {
  const { service, name } = targetOf(call)
  const { code } = findFunction(catalogue, call.accountId, service, name, call.qualifier).value.spec
  return { status: 200, body: { url: links.link(call.origin, code.digest), checksum: code.crc64 } }
}

/** The function as the API shows it. */
export function functionBody(api: ApiVersion, record: FunctionRecord): Readonly<Record<string, unknown>> {
  return {
    functionId: record.functionId,
    functionName: record.name,
    description: record.description,
    ...settingsBody(api, record.spec, ownExtras(record)),
    codeSize: record.spec.code.sizeBytes,
    codeChecksum: record.spec.code.crc64,
    createdTime: formatTime(record.createdAtMs),
    lastModifiedTime: formatTime(record.modifiedAtMs),
  }
}

function answerWith(api: ApiVersion, record: Stored<'function'>): Answer {
  return { status: 200, headers: { ETag: etagOf(record) }, body: functionBody(api, record.value) }
}

function targetOf(call: Call): { service: string; name: string } {
  return { service: serviceOf(call), name: requireFunctionName(pathParameter(call, 'function')) }
}

/** A version is a snapshot: only the function itself changes. */
function latestOf(call: Call): { service: string; name: string } {
  if (call.qualifier !== undefined && call.qualifier !== LATEST)
    throw new FcError('InvalidArgument', `a function cannot be changed through version '${call.qualifier}'`)
  return targetOf(call)
}

function alreadyExists(service: string, name: string): FcError {
  return new FcError('FunctionAlreadyExists', `function '${name}' already exists in service '${service}'`)
}
