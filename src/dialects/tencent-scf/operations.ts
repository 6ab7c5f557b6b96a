import { getAccount } from './account.ts'
import { createAlias, deleteAlias, getAlias, listAliases, updateAlias } from './aliases.ts'
import { getFunctionEventInvokeConfig, updateFunctionEventInvokeConfig } from './async-config.ts'
import { getAsyncEventStatus, listAsyncEvents, terminateAsyncEvent } from './async-events.ts'
import {
  deleteReservedConcurrencyConfig,
  getReservedConcurrencyConfig,
  putReservedConcurrencyConfig,
} from './concurrency.ts'
import { getFunction, listFunctions } from './function-body.ts'
import { updateFunctionCode, updateFunctionConfiguration } from './function-update.ts'
import { createFunction, deleteFunction, getFunctionAddress } from './functions.ts'
import { invoke, invokeFunction, invokeFunctionLegacy } from './invoke.ts'
import {
  deleteLayerVersion,
  getLayerVersion,
  listLayers,
  listLayerVersions,
  publishLayerVersion,
} from './layers.ts'
import {
  createFunctionLegacy,
  deleteFunctionLegacy,
  deleteTriggerLegacy,
  getAccountSettingsLegacy,
  getFunctionLegacy,
  getFunctionLogsLegacy,
  listFunctionsLegacy,
  setTriggerLegacy,
  updateFunctionLegacy,
} from './legacy.ts'
import { getFunctionLogs, getRequestStatus } from './logs.ts'
import { createNamespace, deleteNamespace, listNamespaces, updateNamespace } from './namespaces.ts'
import {
  deleteProvisionedConcurrencyConfig,
  getProvisionedConcurrencyConfig,
  putProvisionedConcurrencyConfig,
} from './provision.ts'
import { createTrigger, deleteTrigger, listTriggers, updateTrigger, updateTriggerStatus } from './triggers.ts'
import { deleteFunctionVersion, listVersionByFunction, publishVersion } from './versions.ts'
import type { Operation } from './operation.ts'

/**
 * What one action needs beside its operation.
 *
 * To add an action: write its `Operation` in the file of its resource, name it in the union, and the table below will
 * not compile until it has a row.
 */
export interface ActionDefinition {
  readonly run: Operation
  /** The request may hold a zip archive: its body may be long, and the archive is cut out of it. */
  readonly takesCode?: true
  /** The request may hold a large event: its body may be long, and is parsed whole. */
  readonly takesEvent?: true
}

/** Every action of API 3.0 (version 2018-04-16), by the vendor's name. */
export type Action =
  | 'Invoke'
  | 'InvokeFunction'
  | 'CreateFunction'
  | 'DeleteFunction'
  | 'GetFunctionAddress'
  | 'UpdateFunctionCode'
  | 'UpdateFunctionConfiguration'
  | 'GetFunction'
  | 'ListFunctions'
  | 'DeleteFunctionVersion'
  | 'ListVersionByFunction'
  | 'PublishVersion'
  | 'CreateAlias'
  | 'DeleteAlias'
  | 'GetAlias'
  | 'ListAliases'
  | 'UpdateAlias'
  | 'CreateNamespace'
  | 'DeleteNamespace'
  | 'ListNamespaces'
  | 'UpdateNamespace'
  | 'CreateTrigger'
  | 'DeleteTrigger'
  | 'ListTriggers'
  | 'UpdateTrigger'
  | 'UpdateTriggerStatus'
  | 'GetFunctionLogs'
  | 'GetRequestStatus'
  | 'GetAsyncEventStatus'
  | 'ListAsyncEvents'
  | 'TerminateAsyncEvent'
  | 'GetFunctionEventInvokeConfig'
  | 'UpdateFunctionEventInvokeConfig'
  | 'DeleteProvisionedConcurrencyConfig'
  | 'DeleteReservedConcurrencyConfig'
  | 'GetProvisionedConcurrencyConfig'
  | 'GetReservedConcurrencyConfig'
  | 'PutProvisionedConcurrencyConfig'
  | 'PutReservedConcurrencyConfig'
  | 'DeleteLayerVersion'
  | 'GetLayerVersion'
  | 'ListLayers'
  | 'ListLayerVersions'
  | 'PublishLayerVersion'
  | 'GetAccount'

/** Every action of the legacy API 2.0, by the vendor's name. */
export type LegacyAction =
  | 'InvokeFunction'
  | 'CreateFunction'
  | 'DeleteFunction'
  | 'DeleteTrigger'
  | 'GetAccountSettings'
  | 'GetFunction'
  | 'GetFunctionLogs'
  | 'ListFunctions'
  | 'SetTrigger'
  | 'UpdateFunction'

export const API3: Readonly<Record<Action, ActionDefinition>> = {
  Invoke: { run: invoke, takesEvent: true },
  InvokeFunction: { run: invokeFunction, takesEvent: true },
  CreateFunction: { run: createFunction, takesCode: true },
  DeleteFunction: { run: deleteFunction },
  GetFunctionAddress: { run: getFunctionAddress },
  UpdateFunctionCode: { run: updateFunctionCode, takesCode: true },
  UpdateFunctionConfiguration: { run: updateFunctionConfiguration },
  GetFunction: { run: getFunction },
  ListFunctions: { run: listFunctions },
  DeleteFunctionVersion: { run: deleteFunctionVersion },
  ListVersionByFunction: { run: listVersionByFunction },
  PublishVersion: { run: publishVersion },
  CreateAlias: { run: createAlias },
  DeleteAlias: { run: deleteAlias },
  GetAlias: { run: getAlias },
  ListAliases: { run: listAliases },
  UpdateAlias: { run: updateAlias },
  CreateNamespace: { run: createNamespace },
  DeleteNamespace: { run: deleteNamespace },
  ListNamespaces: { run: listNamespaces },
  UpdateNamespace: { run: updateNamespace },
  CreateTrigger: { run: createTrigger },
  DeleteTrigger: { run: deleteTrigger },
  ListTriggers: { run: listTriggers },
  UpdateTrigger: { run: updateTrigger },
  UpdateTriggerStatus: { run: updateTriggerStatus },
  GetFunctionLogs: { run: getFunctionLogs },
  GetRequestStatus: { run: getRequestStatus },
  GetAsyncEventStatus: { run: getAsyncEventStatus },
  ListAsyncEvents: { run: listAsyncEvents },
  TerminateAsyncEvent: { run: terminateAsyncEvent },
  GetFunctionEventInvokeConfig: { run: getFunctionEventInvokeConfig },
  UpdateFunctionEventInvokeConfig: { run: updateFunctionEventInvokeConfig },
  DeleteProvisionedConcurrencyConfig: { run: deleteProvisionedConcurrencyConfig },
  DeleteReservedConcurrencyConfig: { run: deleteReservedConcurrencyConfig },
  GetProvisionedConcurrencyConfig: { run: getProvisionedConcurrencyConfig },
  GetReservedConcurrencyConfig: { run: getReservedConcurrencyConfig },
  PutProvisionedConcurrencyConfig: { run: putProvisionedConcurrencyConfig },
  PutReservedConcurrencyConfig: { run: putReservedConcurrencyConfig },
  DeleteLayerVersion: { run: deleteLayerVersion },
  GetLayerVersion: { run: getLayerVersion },
  ListLayers: { run: listLayers },
  ListLayerVersions: { run: listLayerVersions },
  PublishLayerVersion: { run: publishLayerVersion, takesCode: true },
  GetAccount: { run: getAccount },
}

export const API2: Readonly<Record<LegacyAction, ActionDefinition>> = {
  InvokeFunction: { run: invokeFunctionLegacy, takesEvent: true },
  CreateFunction: { run: createFunctionLegacy, takesCode: true },
  DeleteFunction: { run: deleteFunctionLegacy },
  DeleteTrigger: { run: deleteTriggerLegacy },
  GetAccountSettings: { run: getAccountSettingsLegacy },
  GetFunction: { run: getFunctionLegacy },
  GetFunctionLogs: { run: getFunctionLogsLegacy },
  ListFunctions: { run: listFunctionsLegacy },
  SetTrigger: { run: setTriggerLegacy },
  UpdateFunction: { run: updateFunctionLegacy, takesCode: true },
}
