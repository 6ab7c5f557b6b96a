import { createHash } from 'node:crypto'
import { findVersion } from '../../definitions/function-versions.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import { qualifiedKey } from '../../engine/keys.ts'
import { extrasOf } from '../extras.ts'
import { isJsonObject } from '../../model/json.ts'
import type { FunctionRecord } from '../../store/definition-store.ts'
import { asyncSettingsBody } from './async-settings.ts'
import { codeFactsOf } from './code-facts.ts'
import { dependenciesOf, dependencyBody, dependencyFactsOf } from './dependency-records.ts'
import { logPlaceOf } from './log-places.ts'
import { formatTime, shownVersion } from './names.ts'
import { DIALECT, type Call, type JsonObject } from './operation.ts'
import { formatUrn } from './urn.ts'
import { shownUserData } from './user-data.ts'

/** Instances a function may have where nobody said. Source: the vendor's limits page. */
const DEFAULT_MAX_INSTANCES = 400

/** A function may run longer than that only as a "long" one. Source: the vendor's CreateFunction page. */
const LONG_TIMEOUT_MS = 900_000

/** What items of lists do not have. */
const NOT_IN_LISTS = new Set([
  'func_id',
  'domain_names',
  'func_vpc',
  'mount_config',
  'reserved_instance_count',
  'depend_list',
  'depend_version_list',
  'dependencies',
  'enable_cloud_debug',
  'network_controller',
  'lts_custom_tag',
])

/** What answers about code have. */
const OF_CODE = new Set([
  'func_urn',
  'func_name',
  'domain_id',
  'runtime',
  'code_type',
  'code_url',
  'code_filename',
  'code_size',
  'digest',
  'last_modified',
  'depend_list',
  'depend_version_list',
  'strategy_config',
  'dependencies',
])

/** Settings that are shown as they were written, and what they are where nobody wrote them. */
const SHOWN_DEFAULTS = {
  extend_config: '',
  pre_stop_handler: '',
  restore_hook_handler: '',
  heartbeat_handler: '',
  enterprise_project_id: '0',
  peering_cidr: '',
  domain_names: '',
  user_data_encrypt_kms_key_id: '',
  code_encrypt_kms_key_id: '',
  type: 'v2',
  gpu_memory: 0,
  gpu_type: '',
  pre_stop_timeout: 0,
  restore_hook_timeout: 0,
  enable_dynamic_memory: false,
  is_stateful_function: false,
  enable_lts_log: false,
  enable_auth_in_header: false,
  enable_class_isolation: false,
  lts_custom_tag: {},
}

/** Settings that are shown where somebody wrote them. */
const SHOWN_IF_WRITTEN = ['func_vpc', 'mount_config', 'network_controller', 'custom_image'] as const

/** A function at one version as answers about it show it. */
export function functionBody(definitions: Definitions, call: Call, record: FunctionRecord): JsonObject {
  const { spec, account } = record
  const own = extrasOf(record.extras, DIALECT)
  const code = codeFactsOf(spec.code, own)
  const dependencies = dependenciesOf(definitions, account, spec, own)
  const dependencyIds = dependencies.map((each) => dependencyFactsOf(each).id)
  const shown = (name: string, fallback: unknown): unknown => own[name] ?? fallback
  const version = findVersion(definitions, record, record.version)
  const vpc = own['func_vpc']
  return {
    ...Object.fromEntries(
      Object.entries(SHOWN_DEFAULTS).map(([name, fallback]) => [name, shown(name, fallback)]),
    ),
    ...Object.fromEntries(SHOWN_IF_WRITTEN.map((name) => [name, own[name]])),
    func_id: record.functionId,
    resource_id: record.functionId,
    func_urn: formatUrn(call, record, record.version),
    func_name: record.name,
    domain_id: call.domainId,
    namespace: call.projectId,
    project_name: call.region,
    package: record.namespace,
    runtime: spec.runtime,
    timeout: Math.ceil(spec.timeoutMs / 1000),
    handler: spec.handler,
    memory_size: spec.memoryMib,
    cpu: Math.round((spec.memoryMib / 128) * 100 + 200),
    code_type: code.type,
    code_url: code.url,
    code_filename: code.fileName,
    code_size: code.sizeBytes,
    ...shownUserData(record),
    digest: code.digest,
    version: shownVersion(record.version),
    image_name: imageName(record),
    xrole: shown('xrole', record.facts['role'] ?? ''),
    app_xrole: shown('app_xrole', ''),
    description: record.description,
    ...(version !== undefined && { version_description: version.description }),
    last_modified: formatTime(version?.createdAtMs ?? record.modifiedAtMs),
    ...(isJsonObject(vpc) && { func_vpc_id: vpc['vpc_id'] }),
    depend_list: dependencyIds,
    depend_version_list: dependencyIds,
    dependencies: dependencies.map((each) => dependencyBody(call, each)),
    strategy_config: {
      concurrency: maxInstancesOf(definitions, record),
      concurrent_num: spec.instanceConcurrency,
    },
    initializer_handler: spec.initializer?.handler ?? '',
    initializer_timeout:
      spec.initializer === undefined
        ? shown('initializer_timeout', 0)
        : Math.ceil(spec.initializer.timeoutMs / 1000),
    long_time: spec.timeoutMs > LONG_TIMEOUT_MS,
    ...logMembers(record),
    enable_cloud_debug: 'DISABLED',
    is_bridge_function: false,
    is_return_stream: false,
    apig_route_enable: false,
    allow_ephemeral_storage: spec.diskMib > 512,
    ephemeral_storage: spec.diskMib,
    reserved_instance_count: reservedOf(definitions, record),
    reserved_instance_idle_mode: false,
  }
}

/** A function as an item of the list of functions. */
export function functionItem(definitions: Definitions, call: Call, record: FunctionRecord): JsonObject {
  return without(functionBody(definitions, call, record), NOT_IN_LISTS)
}

/** A version as an item of the list of versions. */
export function versionItem(definitions: Definitions, call: Call, record: FunctionRecord): JsonObject {
  return without(versionBody(definitions, call, record), NOT_IN_LISTS)
}

/** A version as the answer to its publication. */
export function versionBody(definitions: Definitions, call: Call, record: FunctionRecord): JsonObject {
  const body = functionBody(definitions, call, record)
  const { account, namespace, name, version } = record
  const settings = definitions.get('asyncConfig', qualifiedKey(account, namespace, name, version))
  return {
    ...body,
    concurrency: maxInstancesOf(definitions, record),
    concurrent_num: record.spec.instanceConcurrency,
    ...(settings !== undefined && { function_async_config: asyncSettingsBody(settings.value) }),
  }
}

/** What answers about code have of a function. */
export function codeMembers(definitions: Definitions, call: Call, record: FunctionRecord): JsonObject {
  return Object.fromEntries(
    Object.entries(functionBody(definitions, call, record)).filter(([name]) => OF_CODE.has(name)),
  )
}

/** Most instances of a function at its version: −1 for no cap, 0 for a function that is disabled. */
export function maxInstancesOf(definitions: Definitions, record: FunctionRecord): number {
  const { account, namespace, name, version } = record
  const scaling = definitions.get('scaling', qualifiedKey(account, namespace, name, version))
  if (scaling !== undefined) return scaling.value.maxInstances
  return extrasOf(record.extras, DIALECT)['is_unlimited'] === true ? -1 : DEFAULT_MAX_INSTANCES
}

function logMembers(record: FunctionRecord): JsonObject {
  const { groupId, streamId } = logPlaceOf(record)
  return { log_group_id: groupId, log_stream_id: streamId }
}

function reservedOf(definitions: Definitions, { account, namespace, name, version }: FunctionRecord): number {
  return definitions.get('provision', qualifiedKey(account, namespace, name, version))?.value.target ?? 0
}

/** `latest-191025153727@zehht`: another for every state of the function, the same for one. */
function imageName({ version, modifiedAtMs, stateId }: FunctionRecord): string {
  const stamp = new Date(modifiedAtMs).toISOString().replaceAll(/\D/g, '').slice(2, 14)
  const letters = createHash('sha256').update(stateId).digest('hex').slice(0, 5)
  return `${shownVersion(version)}-${stamp}@${letters}`
}

function without(body: JsonObject, names: ReadonlySet<string>): JsonObject {
  return Object.fromEntries(Object.entries(body).filter(([name]) => !names.has(name)))
}
