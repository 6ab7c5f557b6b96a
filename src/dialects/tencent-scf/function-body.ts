import { findVersion } from '../../definitions/function-versions.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import { functionKey } from '../../engine/keys.ts'
import type { FunctionRecord } from '../../store/definition-store.ts'
import { extrasOf } from '../extras.ts'
import { reservedMib } from './concurrency.ts'
import { readEntryFile, type EntryFile } from './entry-file.ts'
import { flagField, textField } from './fields.ts'
import { readFilters } from './function-filters.ts'
import { boundLayersBody } from './bound-layers.ts'
import { DIALECT, type JsonObject, type Operation } from './operation.ts'
import { inOrder, onPage, orderOf, pageOf } from './paging.ts'
import { provisionedMib } from './provision.ts'
import { environmentBody } from './run-settings.ts'
import { settingOf, shownBody } from './shown-settings.ts'
import { tagsBody, tagsOf } from './tags.ts'
import { namespaceOf, qualifierOf, requireAt, requireNamespace, shownQualifier, targetOf } from './targets.ts'
import { formatTime } from './times.ts'
import { triggerBody, triggersOf } from './trigger-records.ts'

/** Some clients read these without asking whether they are there. */
const ALWAYS_THERE: JsonObject = {
  EipConfig: { EipFixed: 'FALSE', Eips: [] },
  AccessInfo: { Host: '', Vip: '' },
  UseGpu: 'FALSE',
  OnsEnable: 'FALSE',
  ImageConfig: null,
}

/** A function at one version, with everything the vendor's model lists. Its entry file with `ShowCode`. */
export const getFunction: Operation = async (call, { catalogue, packages }) => {
  const target = targetOf(call)
  const record = requireAt(catalogue, target, qualifierOf(call.params)).value
  const showsCode = flagField(call.params, 'ShowCode') ?? false
  const entry = showsCode ? await readEntryFile(packages, record.spec) : undefined
  return functionBody(catalogue, record, entry)
}

/** The functions of one namespace, those made last first. */
export const listFunctions: Operation = (call, { catalogue }) => {
  const namespace = namespaceOf(call.params)
  const page = pageOf(call.params)
  const { key, descending } = orderOf(
    call.params,
    'Orderby',
    { AddTime: 'createdAtMs', ModTime: 'modifiedAtMs', FunctionName: 'name' } as const,
    { key: 'createdAtMs', descending: true },
  )
  const searched = textField(call.params, 'SearchKey', { code: 'InvalidParameterValue.SearchKey' })
  const described = textField(call.params, 'Description', { code: 'InvalidParameterValue.Description' })
  const fits = readFilters(call.params)
  requireNamespace(catalogue, call.accountId, namespace)
  const functions = catalogue
    .list('function', functionKey(call.accountId, namespace, ''))
    .map(({ value }) => value)
    .filter(
      (record) =>
        holds(record.name, searched) &&
        holds(record.description, described) &&
        fits(record, tagsOf(catalogue, record)),
    )
  const provisioned = provisionedMib(catalogue, call.accountId)
  const ordered = inOrder(functions, (record) => record[key], descending)
  return {
    Functions: onPage(ordered, page).map((record) =>
      listedBody(catalogue, record, provisioned.get(`${namespace}/${record.name}`)),
    ),
    TotalCount: functions.length,
  }
}

/** What GetFunction answers. */
export function functionBody(
  definitions: Definitions,
  record: FunctionRecord,
  entry: EntryFile | undefined,
): JsonObject {
  const { spec } = record
  const fault = entry !== undefined && 'fault' in entry ? entry.fault : ''
  return {
    ...ALWAYS_THERE,
    ...shownBody(record),
    ...identityBody(record),
    FunctionVersion: shownQualifier(record.version),
    Qualifier: shownQualifier(record.version),
    Handler: spec.handler,
    Description: findVersion(definitions, record, record.version)?.description || record.description,
    CodeInfo: entry !== undefined && 'source' in entry ? entry.source : '',
    CodeSize: spec.code.sizeBytes,
    CodeResult: fault === '' ? 'success' : 'failed',
    CodeError: fault,
    ErrNo: 0,
    MemorySize: spec.memoryMib,
    Timeout: Math.ceil(spec.timeoutMs / 1000),
    Environment: environmentBody(spec.environment),
    Role: record.facts['role'] ?? '',
    AvailableStatus: 'Available',
    Triggers: triggersOf(definitions, record).map(triggerBody),
    Tags: tagsBody(tagsOf(definitions, record)),
    Layers: boundLayersBody(definitions, record.account, spec, extrasOf(record.extras, DIALECT)),
  }
}

/** The beginning of the function's own id, in the vendor's shape. */
export function functionIdOf({ functionId }: FunctionRecord): string {
  return `lam-${functionId.replaceAll('-', '').slice(0, 8)}`
}

function listedBody(definitions: Definitions, record: FunctionRecord, provisioned = 0): JsonObject {
  return {
    ...identityBody(record),
    Description: record.description,
    Tags: tagsBody(tagsOf(definitions, record)),
    TotalProvisionedConcurrencyMem: provisioned,
    ReservedConcurrencyMem: reservedMib(definitions, record) ?? null,
    AsyncRunEnable: settingOf(record, 'AsyncRunEnable'),
    TraceEnable: settingOf(record, 'TraceEnable'),
  }
}

/** What a function is shown with everywhere. */
function identityBody(record: FunctionRecord): JsonObject {
  return {
    FunctionName: record.name,
    FunctionId: functionIdOf(record),
    Namespace: record.namespace,
    Runtime: record.spec.runtime,
    Type: 'Event',
    Status: 'Active',
    StatusDesc: '',
    StatusReasons: [],
    AddTime: formatTime(record.createdAtMs),
    ModTime: formatTime(record.modifiedAtMs),
  }
}

function holds(text: string, part: string | undefined): boolean {
  return part === undefined || text.toLowerCase().includes(part.toLowerCase())
}
