import { getAccountConfigs, getAccountSettings } from './account.ts'
import { createAlias, deleteAlias, getAlias, listAliases, updateAlias } from './aliases.ts'
import {
  deleteFunctionAsyncInvokeConfig,
  getFunctionAsyncInvokeConfig,
  listFunctionAsyncInvokeConfigs,
  putFunctionAsyncInvokeConfig,
} from './async-config.ts'
import {
  createFunction,
  deleteFunction,
  getFunction,
  getFunctionCode,
  listFunctions,
  updateFunction,
} from './functions.ts'
import {
  deleteFunctionOnDemandConfig,
  getFunctionOnDemandConfig,
  listOnDemandConfigs,
  putFunctionOnDemandConfig,
} from './on-demand.ts'
import type { Operation } from './operation.ts'
import { getProvisionConfig, listProvisionConfigs, putProvisionConfig } from './provision.ts'
import { createService, deleteService, getService, listServices, updateService } from './services.ts'
import { getResourceTags, listTaggedResources, tagResource, untagResource } from './tags.ts'
import {
  getStatefulAsyncInvocation,
  listStatefulAsyncInvocationFunctions,
  listStatefulAsyncInvocations,
  stopStatefulAsyncInvocation,
} from './tasks.ts'
import { deleteServiceVersion, listServiceVersions, publishServiceVersion } from './versions.ts'

/**
 * Every control-plane operation, by the vendor's name. InvokeFunction is not among them: it has a path of its own.
 *
 * To add one: write its `Operation` in the file of its resource, name it here, and the table below will not compile
 * until it has a row. Take it off {@link UNSUPPORTED} and off the README's gaps.
 */
export type OperationName =
  | 'CreateService'
  | 'GetService'
  | 'ListServices'
  | 'UpdateService'
  | 'DeleteService'
  | 'CreateFunction'
  | 'GetFunction'
  | 'ListFunctions'
  | 'UpdateFunction'
  | 'DeleteFunction'
  | 'GetFunctionCode'
  | 'PublishServiceVersion'
  | 'ListServiceVersions'
  | 'DeleteServiceVersion'
  | 'CreateAlias'
  | 'GetAlias'
  | 'ListAliases'
  | 'UpdateAlias'
  | 'DeleteAlias'
  | 'GetFunctionAsyncInvokeConfig'
  | 'PutFunctionAsyncInvokeConfig'
  | 'DeleteFunctionAsyncInvokeConfig'
  | 'ListFunctionAsyncInvokeConfigs'
  | 'GetStatefulAsyncInvocation'
  | 'ListStatefulAsyncInvocations'
  | 'StopStatefulAsyncInvocation'
  | 'ListStatefulAsyncInvocationFunctions'
  | 'GetFunctionOnDemandConfig'
  | 'PutFunctionOnDemandConfig'
  | 'DeleteFunctionOnDemandConfig'
  | 'ListOnDemandConfigs'
  | 'GetProvisionConfig'
  | 'PutProvisionConfig'
  | 'ListProvisionConfigs'
  | 'TagResource'
  | 'UntagResource'
  | 'UntagResourceByDelete'
  | 'GetResourceTags'
  | 'ListTaggedResources'
  | 'GetAccountSettings'
  | 'GetAccountConfigs'

export interface OperationDefinition {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Path after the API version; `:name` is one segment. `:service` may carry a qualifier. */
  readonly pattern: string
  readonly run: Operation
  /** Longest request body, bytes. Default {@link DEFAULT_BODY_BYTES}. */
  readonly bodyBytes?: number
}

/** Enough for any request without code: the largest lists hold a hundred short entries. */
export const DEFAULT_BODY_BYTES = 1024 * 1024

/** Code in the body, base64 and all. Source: the vendor's limits page, "100 MB through the API body". */
const CODE_BODY_BYTES = 100 * 1024 * 1024

const SERVICE = '/services/:service'
const FUNCTION = `${SERVICE}/functions/:function`
const ASYNC_CONFIG = `${FUNCTION}/async-invoke-config`
const TASKS = `${FUNCTION}/stateful-async-invocations`
const ON_DEMAND = `${FUNCTION}/on-demand-config`
const PROVISION = `${FUNCTION}/provision-config`

export const OPERATIONS: Readonly<Record<OperationName, OperationDefinition>> = {
  CreateService: { method: 'POST', pattern: '/services', run: createService },
  GetService: { method: 'GET', pattern: SERVICE, run: getService },
  ListServices: { method: 'GET', pattern: '/services', run: listServices },
  UpdateService: { method: 'PUT', pattern: SERVICE, run: updateService },
  DeleteService: { method: 'DELETE', pattern: SERVICE, run: deleteService },
  CreateFunction: {
    method: 'POST',
    pattern: `${SERVICE}/functions`,
    run: createFunction,
    bodyBytes: CODE_BODY_BYTES,
  },
  GetFunction: { method: 'GET', pattern: FUNCTION, run: getFunction },
  ListFunctions: { method: 'GET', pattern: `${SERVICE}/functions`, run: listFunctions },
  UpdateFunction: { method: 'PUT', pattern: FUNCTION, run: updateFunction, bodyBytes: CODE_BODY_BYTES },
  DeleteFunction: { method: 'DELETE', pattern: FUNCTION, run: deleteFunction },
  GetFunctionCode: { method: 'GET', pattern: `${FUNCTION}/code`, run: getFunctionCode },
  PublishServiceVersion: { method: 'POST', pattern: `${SERVICE}/versions`, run: publishServiceVersion },
  ListServiceVersions: { method: 'GET', pattern: `${SERVICE}/versions`, run: listServiceVersions },
  DeleteServiceVersion: {
    method: 'DELETE',
    pattern: `${SERVICE}/versions/:versionId`,
    run: deleteServiceVersion,
  },
  CreateAlias: { method: 'POST', pattern: `${SERVICE}/aliases`, run: createAlias },
  GetAlias: { method: 'GET', pattern: `${SERVICE}/aliases/:aliasName`, run: getAlias },
  ListAliases: { method: 'GET', pattern: `${SERVICE}/aliases`, run: listAliases },
  UpdateAlias: { method: 'PUT', pattern: `${SERVICE}/aliases/:aliasName`, run: updateAlias },
  DeleteAlias: { method: 'DELETE', pattern: `${SERVICE}/aliases/:aliasName`, run: deleteAlias },
  GetFunctionAsyncInvokeConfig: { method: 'GET', pattern: ASYNC_CONFIG, run: getFunctionAsyncInvokeConfig },
  PutFunctionAsyncInvokeConfig: { method: 'PUT', pattern: ASYNC_CONFIG, run: putFunctionAsyncInvokeConfig },
  DeleteFunctionAsyncInvokeConfig: {
    method: 'DELETE',
    pattern: ASYNC_CONFIG,
    run: deleteFunctionAsyncInvokeConfig,
  },
  ListFunctionAsyncInvokeConfigs: {
    method: 'GET',
    pattern: `${FUNCTION}/async-invoke-configs`,
    run: listFunctionAsyncInvokeConfigs,
  },
  GetStatefulAsyncInvocation: { method: 'GET', pattern: `${TASKS}/:id`, run: getStatefulAsyncInvocation },
  ListStatefulAsyncInvocations: { method: 'GET', pattern: TASKS, run: listStatefulAsyncInvocations },
  StopStatefulAsyncInvocation: { method: 'PUT', pattern: `${TASKS}/:id`, run: stopStatefulAsyncInvocation },
  ListStatefulAsyncInvocationFunctions: {
    method: 'GET',
    pattern: '/stateful-async-invocation-functions',
    run: listStatefulAsyncInvocationFunctions,
  },
  GetFunctionOnDemandConfig: { method: 'GET', pattern: ON_DEMAND, run: getFunctionOnDemandConfig },
  PutFunctionOnDemandConfig: { method: 'PUT', pattern: ON_DEMAND, run: putFunctionOnDemandConfig },
  DeleteFunctionOnDemandConfig: { method: 'DELETE', pattern: ON_DEMAND, run: deleteFunctionOnDemandConfig },
  ListOnDemandConfigs: { method: 'GET', pattern: '/on-demand-configs', run: listOnDemandConfigs },
  GetProvisionConfig: { method: 'GET', pattern: PROVISION, run: getProvisionConfig },
  PutProvisionConfig: { method: 'PUT', pattern: PROVISION, run: putProvisionConfig },
  ListProvisionConfigs: { method: 'GET', pattern: '/provision-configs', run: listProvisionConfigs },
  TagResource: { method: 'POST', pattern: '/tag', run: tagResource },
  // The younger API untags with PUT, the older with DELETE and a body.
  UntagResource: { method: 'PUT', pattern: '/tag', run: untagResource },
  UntagResourceByDelete: { method: 'DELETE', pattern: '/tag', run: untagResource },
  GetResourceTags: { method: 'GET', pattern: '/tag', run: getResourceTags },
  ListTaggedResources: { method: 'GET', pattern: '/tags', run: listTaggedResources },
  GetAccountSettings: { method: 'GET', pattern: '/account-settings', run: getAccountSettings },
  GetAccountConfigs: { method: 'GET', pattern: '/accountConfigs', run: getAccountConfigs },
}

/** Documented operations that this server does not have: told apart from paths that do not exist. */
export const UNSUPPORTED: readonly (readonly [name: string, method: string, pattern: string])[] = [
  ['CreateTrigger', 'POST', `${FUNCTION}/triggers`],
  ['ListTriggers', 'GET', `${FUNCTION}/triggers`],
  ['GetTrigger', 'GET', `${FUNCTION}/triggers/:trigger`],
  ['UpdateTrigger', 'PUT', `${FUNCTION}/triggers/:trigger`],
  ['DeleteTrigger', 'DELETE', `${FUNCTION}/triggers/:trigger`],
  ['EventSource operations', 'ANY', `${FUNCTION}/event-sources`],
  ['EventSource operations', 'ANY', `${FUNCTION}/event-sources/:sourceArn`],
  ['HTTP invocation', 'ANY', '/proxy/:service/:function'],
  ['HTTP invocation', 'ANY', '/proxy/:service/:function/*'],
  ['ListInstances', 'GET', `${FUNCTION}/instances`],
  ['InstanceExec', 'GET', `${FUNCTION}/instances/:id/exec`],
  ['Layer operations', 'ANY', '/layers'],
  ['Layer operations', 'ANY', '/layers/*'],
  ['GetLayerVersionByArn', 'GET', '/layerarn/:arn'],
  ['CustomDomain operations', 'ANY', '/custom-domains'],
  ['CustomDomain operations', 'ANY', '/custom-domains/:domain'],
  ['VpcBinding operations', 'ANY', `${SERVICE}/bindings`],
  ['VpcBinding operations', 'ANY', `${SERVICE}/bindings/:vpcId`],
  ['ListReservedCapacities', 'GET', '/reservedCapacities'],
  ['ListReservedCapacities', 'GET', '/reserved-capacities'],
  ['GetTempBucketToken', 'GET', '/tempBucketToken'],
  ['GetTempCodeBucketToken', 'GET', `${SERVICE}/tempCodeBucketToken`],
  ['CreateGpuInstance', 'POST', '/gpuInstances'],
  ['DeleteGpuInstance', 'DELETE', '/gpuInstances/:id'],
]
