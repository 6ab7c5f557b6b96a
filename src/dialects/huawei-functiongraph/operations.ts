import {
  cancelAsyncInvocation,
  enableAsyncStatusLog,
  listActiveAsyncInvocations,
  listAsyncInvocations,
  showProjectAsyncStatusLogInfo,
} from './async-records.ts'
import {
  createVersionAlias,
  deleteVersionAlias,
  listVersionAliases,
  showVersionAlias,
  updateVersionAlias,
} from './aliases.ts'
import {
  deleteFunctionAsyncInvokeConfig,
  listFunctionAsyncInvokeConfig,
  showFunctionAsyncInvokeConfig,
  updateFunctionAsyncInvokeConfig,
} from './async-config.ts'
import { showFunctionCode, updateFunctionCode } from './code.ts'
import { showFunctionConfig, updateFunctionConfig, updateFunctionMaxInstanceConfig } from './config.ts'
import {
  createDependency,
  createDependencyVersion,
  deleteDependency,
  deleteDependencyVersion,
  listDependencies,
  listDependencyVersion,
  showDependency,
  showDependencyVersion,
  updateDependency,
} from './dependencies.ts'
import { createEvent, deleteEvent, listEvents, showEvent, updateEvent } from './events.ts'
import { createFunction, deleteFunction, listFunctions } from './functions.ts'
import { exportFunction, importFunction } from './import-export.ts'
import { enableLtsLogs, listLogs, showLtsLogDetails } from './logs.ts'
import type { Operation } from './operation.ts'
import { listQuotas } from './quotas.ts'
import {
  listFunctionReservedInstances,
  listReservedInstanceConfigs,
  releaseReservedInstance,
  showFuncReservedInstanceMetrics,
  updateFunctionReservedInstancesCount,
} from './reserved.ts'
import {
  listFunctionAsMetric,
  listFunctionStatistics,
  listStatistics,
  showFunctionMetrics,
} from './statistics.ts'
import { createTags, deleteTags, listFunctionTags, showProjectTagsList, showResInstanceInfo } from './tags.ts'
import {
  batchDeleteFunctionTriggers,
  createFunctionTrigger,
  deleteFunctionTrigger,
  listFunctionTriggers,
  showFunctionTrigger,
  updateTrigger,
} from './triggers.ts'
import { createFunctionVersion, listFunctionVersions } from './versions.ts'

/**
 * Every operation beside the invocations, which have a path of their own, by the name the vendor's clients give it.
 *
 * To add one: write its `Operation` in the file of its resource, name it here, and the table below will not compile
 * until it has a row. Take it off {@link UNSUPPORTED} and off the README's gaps.
 */
export type OperationName =
  | 'releaseReservedInstance'
  | 'createFunction'
  | 'listFunctions'
  | 'deleteFunction'
  | 'showFunctionConfig'
  | 'updateFunctionConfig'
  | 'showFunctionCode'
  | 'updateFunctionCode'
  | 'updateFunctionMaxInstanceConfig'
  | 'createFunctionVersion'
  | 'listFunctionVersions'
  | 'createVersionAlias'
  | 'listVersionAliases'
  | 'showVersionAlias'
  | 'updateVersionAlias'
  | 'deleteVersionAlias'
  | 'updateFunctionAsyncInvokeConfig'
  | 'showFunctionAsyncInvokeConfig'
  | 'deleteFunctionAsyncInvokeConfig'
  | 'listFunctionAsyncInvokeConfig'
  | 'listAsyncInvocations'
  | 'listActiveAsyncInvocations'
  | 'cancelAsyncInvocation'
  | 'enableAsyncStatusLog'
  | 'showProjectAsyncStatusLogInfo'
  | 'createFunctionTrigger'
  | 'listFunctionTriggers'
  | 'batchDeleteFunctionTriggers'
  | 'showFunctionTrigger'
  | 'updateTrigger'
  | 'deleteFunctionTrigger'
  | 'updateFunctionReservedInstancesCount'
  | 'listFunctionReservedInstances'
  | 'listReservedInstanceConfigs'
  | 'showFuncReservedInstanceMetrics'
  | 'createDependencyVersion'
  | 'listDependencies'
  | 'listDependencyVersion'
  | 'showDependencyVersion'
  | 'deleteDependencyVersion'
  | 'createDependency'
  | 'showDependency'
  | 'updateDependency'
  | 'deleteDependency'
  | 'listFunctionTags'
  | 'createTags'
  | 'deleteTags'
  | 'showProjectTagsList'
  | 'showResInstanceInfo'
  | 'createEvent'
  | 'listEvents'
  | 'showEvent'
  | 'updateEvent'
  | 'deleteEvent'
  | 'listStatistics'
  | 'listFunctionStatistics'
  | 'showFunctionMetrics'
  | 'listFunctionAsMetric'
  | 'showLtsLogDetails'
  | 'enableLtsLogs'
  | 'listLogs'
  | 'listQuotas'
  | 'exportFunction'
  | 'importFunction'

export interface OperationDefinition {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Path after `/v2/{project_id}`; `:name` is one segment. */
  readonly pattern: string
  readonly run: Operation
  /** Longest request body, bytes. Default {@link DEFAULT_BODY_BYTES}. */
  readonly bodyBytes?: number
}

/** Enough for any request without code: the largest lists hold a hundred short entries. */
export const DEFAULT_BODY_BYTES = 1024 * 1024

/** 50 MB of code as base64, and its surroundings. Source: the vendor's limits page, "50 MB through the API". */
const CODE_BODY_BYTES = 72 * 1024 * 1024

const F = '/fgs/functions'
const U = `${F}/:function_urn`
const ALIAS = `${U}/aliases/:alias_name`
const ASYNC_CONFIG = `${U}/async-invoke-config`
const TRIGGERS = '/fgs/triggers/:function_urn'
const TRIGGER = `${TRIGGERS}/:trigger_type_code/:trigger_id`
const DEPENDENCIES = '/fgs/dependencies'
/** `:depend_id`: a dependency's id; the older operations take a version's id there. */
const DEPENDENCY = `${DEPENDENCIES}/:depend_id`
const DEPENDENCY_VERSION = `${DEPENDENCY}/version/:version`
const TAGS = '/:resource_type/:resource_id/tags'
const EVENT = `${U}/events/:event_id`

export const OPERATIONS: Readonly<Record<OperationName, OperationDefinition>> = {
  releaseReservedInstance: {
    method: 'DELETE',
    pattern: `${U}/reservedinstances/:instance_id`,
    run: releaseReservedInstance,
  },
  createFunction: { method: 'POST', pattern: F, run: createFunction, bodyBytes: CODE_BODY_BYTES },
  listFunctions: { method: 'GET', pattern: F, run: listFunctions },
  deleteFunction: { method: 'DELETE', pattern: U, run: deleteFunction },
  showFunctionConfig: { method: 'GET', pattern: `${U}/config`, run: showFunctionConfig },
  updateFunctionConfig: { method: 'PUT', pattern: `${U}/config`, run: updateFunctionConfig },
  showFunctionCode: { method: 'GET', pattern: `${U}/code`, run: showFunctionCode },
  updateFunctionCode: {
    method: 'PUT',
    pattern: `${U}/code`,
    run: updateFunctionCode,
    bodyBytes: CODE_BODY_BYTES,
  },
  updateFunctionMaxInstanceConfig: {
    method: 'PUT',
    pattern: `${U}/config-max-instance`,
    run: updateFunctionMaxInstanceConfig,
  },
  createFunctionVersion: { method: 'POST', pattern: `${U}/versions`, run: createFunctionVersion },
  listFunctionVersions: { method: 'GET', pattern: `${U}/versions`, run: listFunctionVersions },
  createVersionAlias: { method: 'POST', pattern: `${U}/aliases`, run: createVersionAlias },
  listVersionAliases: { method: 'GET', pattern: `${U}/aliases`, run: listVersionAliases },
  showVersionAlias: { method: 'GET', pattern: ALIAS, run: showVersionAlias },
  updateVersionAlias: { method: 'PUT', pattern: ALIAS, run: updateVersionAlias },
  deleteVersionAlias: { method: 'DELETE', pattern: ALIAS, run: deleteVersionAlias },
  updateFunctionAsyncInvokeConfig: {
    method: 'PUT',
    pattern: ASYNC_CONFIG,
    run: updateFunctionAsyncInvokeConfig,
  },
  showFunctionAsyncInvokeConfig: { method: 'GET', pattern: ASYNC_CONFIG, run: showFunctionAsyncInvokeConfig },
  deleteFunctionAsyncInvokeConfig: {
    method: 'DELETE',
    pattern: ASYNC_CONFIG,
    run: deleteFunctionAsyncInvokeConfig,
  },
  listFunctionAsyncInvokeConfig: {
    method: 'GET',
    pattern: `${U}/async-invoke-configs`,
    run: listFunctionAsyncInvokeConfig,
  },
  listAsyncInvocations: { method: 'GET', pattern: `${U}/async-invocations`, run: listAsyncInvocations },
  listActiveAsyncInvocations: {
    method: 'GET',
    pattern: `${U}/active-async-invocations`,
    run: listActiveAsyncInvocations,
  },
  cancelAsyncInvocation: { method: 'POST', pattern: `${U}/cancel`, run: cancelAsyncInvocation },
  enableAsyncStatusLog: {
    method: 'POST',
    pattern: `${F}/enable-async-status-logs`,
    run: enableAsyncStatusLog,
  },
  showProjectAsyncStatusLogInfo: {
    method: 'GET',
    pattern: `${F}/async-status-log-detail`,
    run: showProjectAsyncStatusLogInfo,
  },
  createFunctionTrigger: { method: 'POST', pattern: TRIGGERS, run: createFunctionTrigger },
  listFunctionTriggers: { method: 'GET', pattern: TRIGGERS, run: listFunctionTriggers },
  batchDeleteFunctionTriggers: { method: 'DELETE', pattern: TRIGGERS, run: batchDeleteFunctionTriggers },
  showFunctionTrigger: { method: 'GET', pattern: TRIGGER, run: showFunctionTrigger },
  updateTrigger: { method: 'PUT', pattern: TRIGGER, run: updateTrigger },
  deleteFunctionTrigger: { method: 'DELETE', pattern: TRIGGER, run: deleteFunctionTrigger },
  updateFunctionReservedInstancesCount: {
    method: 'PUT',
    pattern: `${U}/reservedinstances`,
    run: updateFunctionReservedInstancesCount,
  },
  listFunctionReservedInstances: {
    method: 'GET',
    pattern: `${F}/reservedinstances`,
    run: listFunctionReservedInstances,
  },
  listReservedInstanceConfigs: {
    method: 'GET',
    pattern: `${F}/reservedinstanceconfigs`,
    run: listReservedInstanceConfigs,
  },
  showFuncReservedInstanceMetrics: {
    method: 'GET',
    pattern: `${U}/instancereports`,
    run: showFuncReservedInstanceMetrics,
  },
  createDependencyVersion: {
    method: 'POST',
    pattern: `${DEPENDENCIES}/version`,
    run: createDependencyVersion,
    bodyBytes: CODE_BODY_BYTES,
  },
  listDependencies: { method: 'GET', pattern: DEPENDENCIES, run: listDependencies },
  listDependencyVersion: { method: 'GET', pattern: `${DEPENDENCY}/version`, run: listDependencyVersion },
  showDependencyVersion: { method: 'GET', pattern: DEPENDENCY_VERSION, run: showDependencyVersion },
  deleteDependencyVersion: { method: 'DELETE', pattern: DEPENDENCY_VERSION, run: deleteDependencyVersion },
  createDependency: {
    method: 'POST',
    pattern: DEPENDENCIES,
    run: createDependency,
    bodyBytes: CODE_BODY_BYTES,
  },
  showDependency: { method: 'GET', pattern: DEPENDENCY, run: showDependency },
  updateDependency: { method: 'PUT', pattern: DEPENDENCY, run: updateDependency, bodyBytes: CODE_BODY_BYTES },
  deleteDependency: { method: 'DELETE', pattern: DEPENDENCY, run: deleteDependency },
  listFunctionTags: { method: 'GET', pattern: TAGS, run: listFunctionTags },
  createTags: { method: 'POST', pattern: `${TAGS}/create`, run: createTags },
  deleteTags: { method: 'DELETE', pattern: `${TAGS}/delete`, run: deleteTags },
  showProjectTagsList: { method: 'GET', pattern: '/:resource_type/tags', run: showProjectTagsList },
  showResInstanceInfo: {
    method: 'POST',
    pattern: '/:resource_type/resource-instances/:action',
    run: showResInstanceInfo,
  },
  createEvent: { method: 'POST', pattern: `${U}/events`, run: createEvent },
  listEvents: { method: 'GET', pattern: `${U}/events`, run: listEvents },
  showEvent: { method: 'GET', pattern: EVENT, run: showEvent },
  updateEvent: { method: 'PUT', pattern: EVENT, run: updateEvent },
  deleteEvent: { method: 'DELETE', pattern: EVENT, run: deleteEvent },
  listStatistics: { method: 'GET', pattern: `${F}/statistics`, run: listStatistics },
  listFunctionStatistics: { method: 'GET', pattern: `${U}/statistics/:period`, run: listFunctionStatistics },
  showFunctionMetrics: { method: 'GET', pattern: `${U}/slareports/:period`, run: showFunctionMetrics },
  listFunctionAsMetric: { method: 'GET', pattern: '/fgs/function/report', run: listFunctionAsMetric },
  showLtsLogDetails: { method: 'GET', pattern: `${U}/lts-log-detail`, run: showLtsLogDetails },
  enableLtsLogs: { method: 'POST', pattern: `${F}/enable-lts-logs`, run: enableLtsLogs },
  // Of the vendor's log service, which is where the lines are read.
  listLogs: {
    method: 'POST',
    pattern: '/groups/:group_id/streams/:stream_id/content/query',
    run: listLogs,
  },
  listQuotas: { method: 'GET', pattern: '/fgs/quotas', run: listQuotas },
  exportFunction: { method: 'GET', pattern: `${U}/export`, run: exportFunction },
  importFunction: { method: 'POST', pattern: `${F}/import`, run: importFunction, bodyBytes: CODE_BODY_BYTES },
}

/** Documented operations that this server does not have: told apart from paths that do not exist. `*` is any rest. */
export const UNSUPPORTED: readonly (readonly [name: string, method: string, pattern: string])[] = [
  ['updateFunctionCollectState', 'PUT', `${U}/collect/:state`],
  ['tracing operations', 'ANY', `${U}/tracing`],
  ['snapshot operations', 'ANY', `${U}/snapshots/:action`],
  ['function URL operations', 'ANY', `${U}/function-url`],
  ['listBridgeFunctions', 'GET', `${U}/servicebridge/relation`],
  ['listBridgeVersions', 'GET', '/fgs/servicebridge/version'],
  ['VPC endpoint operations', 'ANY', '/fgs/vpc-endpoint'],
  ['VPC endpoint operations', 'ANY', '/fgs/vpc-endpoint/*'],
  ['function templates', 'ANY', '/fgs/templates'],
  ['function templates', 'ANY', '/fgs/templates/:template_id'],
  ['application operations', 'ANY', '/fgs/application/*'],
  ['application operations', 'ANY', '/fgs/applications'],
  ['application operations', 'ANY', '/fgs/applications/:id'],
  ['workflow operations', 'ANY', '/fgs/workflows'],
  ['workflow operations', 'ANY', '/fgs/workflows/*'],
  ['workflow metrics', 'ANY', '/fgs/workflow-statistic'],
  ['workflow metrics', 'ANY', '/fgs/workflow-statistic/:workflow_urn'],
  ['feature list', 'GET', '/fgs/feature'],
  ['runtime list', 'GET', '/fgs/runtimetypes'],
  ['trigger type list', 'GET', '/fgs/triggertypes'],
  ['agency list', 'GET', '/fgs/service-trusted-agencies'],
  ['list of all triggers', 'GET', '/fgs/triggers'],
]
