import { findFunction } from '../../definitions/find-function.ts'
import { settingMembers } from '../../definitions/settings.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import { namespaceKey, qualifiedKey } from '../../engine/keys.ts'
import { isJsonObject } from '../../model/json.ts'
import type { ProvisionRecord, Stored } from '../../store/definition-store.ts'
import { FcError } from './errors.ts'
import { booleanField, field, integerField } from './fields.ts'
import { etagOf } from './names.ts'
import type { Answer, Operation, Rooms } from './operation.ts'
import { ownExtras, withOwnExtras } from './own-extras.ts'
import { page } from './paging.ts'
import { requireMatch } from './precondition.ts'
import {
  PROVISION_TARGET,
  scheduledActionsField,
  targetTrackingPoliciesField,
  type TargetTrackingPolicy,
} from './provision-policies.ts'
import { namedBy, qualifiedFunctionOf, type QualifiedFunction } from './target.ts'

/** @throws {FcError} ProvisionConfigNotFound */
export const getProvisionConfig: Operation = (call, { catalogue, keptOf }) => {
  const target = qualifiedFunctionOf(call)
  const config = catalogue.get('provision', keyOf(target))
  if (config !== undefined) return configAnswer(config, keptOf)
  findFunction(catalogue, target.account, target.service, target.name, target.qualifier)
  throw new FcError(
    'ProvisionConfigNotFound',
    `provision config of function '${target.name}' in service '${target.service}' with qualifier ` +
      `'${target.qualifier}' does not exist`,
  )
}

/**
 * Sets the members that were sent and leaves the others as they are; an empty list clears. A target of 0 without
 * schedules and policies takes the configuration out of the lists, also when its alias leads nowhere any more.
 *
 * @throws {FcError} InvalidArgument, InstanceMetricsRequired
 */
export const putProvisionConfig: Operation = async (call, { catalogue, keptOf, now }) => {
  const target = qualifiedFunctionOf(call)
  const count = integerField(call.body, 'target', PROVISION_TARGET)
  const alwaysAllocateCPU = booleanField(call.body, 'alwaysAllocateCPU')
  const scheduledActions = scheduledActionsField(call.body)
  const targetTrackingPolicies = targetTrackingPoliciesField(call.body)
  const stored = await catalogue.change((draft) => {
    const before = draft.get('provision', keyOf(target))
    if (before !== undefined) requireMatch(call, before)
    const after: ProvisionRecord = {
      ...settingMembers(draft, 'provision', namedBy(target), target.qualifier, now()),
      target: count ?? before?.value.target ?? 0,
      extras: withOwnExtras(before?.value, {
        ...ownExtras(before?.value),
        ...(alwaysAllocateCPU !== undefined && { alwaysAllocateCPU }),
        ...(scheduledActions !== undefined && { scheduledActions }),
        ...(targetTrackingPolicies !== undefined && { targetTrackingPolicies }),
      }),
    }
    if (before === undefined || asksForInstances(after))
      findFunction(draft, target.account, target.service, target.name, target.qualifier)
    requireMetrics(draft, target, targetTrackingPolicies ?? [])
    return draft.put('provision', keyOf(target), after)
  })
  return configAnswer(stored, keptOf)
}

/** The account's configurations, or those of one service or of one of its qualifiers, in the order of `resource`. */
export const listProvisionConfigs: Operation = (call, { catalogue, keptOf }) => {
  const service = call.query.get('serviceName') ?? ''
  const qualifier = call.query.get('qualifier') ?? ''
  if (qualifier !== '' && service === '')
    throw new FcError('InvalidArgument', 'Service name is required if qualifier is provided')
  const configs = catalogue
    .list('provision', service === '' ? `${call.accountId}/` : `${namespaceKey(call.accountId, service)}/`)
    .filter(({ value }) => asksForInstances(value) && (qualifier === '' || value.qualifier === qualifier))
  const { items, nextToken } = page(call.query, configs, ({ value }) => resourceOf(value))
  return {
    status: 200,
    body: { provisionConfigs: items.map(({ value }) => configBody(value, keptOf)), nextToken },
  }
}

function keyOf({ account, service, name, qualifier }: QualifiedFunction): string {
  return qualifiedKey(account, service, name, qualifier)
}

function asksForInstances(record: ProvisionRecord): boolean {
  const { scheduledActions, targetTrackingPolicies } = ownExtras(record)
  return record.target > 0 || [scheduledActions, targetTrackingPolicies].some(isFilledList)
}

const isFilledList = (value: unknown): boolean => Array.isArray(value) && value.length > 0

/**
 * What instances use of their processor or GPU memory is known only while the service collects instance metrics. The
 * share of busy instances is known without: the vendor's own suite tracks it for a service without any.
 */
function requireMetrics(
  definitions: Definitions,
  { account, service }: QualifiedFunction,
  policies: readonly TargetTrackingPolicy[],
): void {
  if (policies.every(({ metricType }) => metricType === 'ProvisionedConcurrencyUtilization')) return
  const { logConfig } = ownExtras(definitions.get('namespace', namespaceKey(account, service))?.value)
  if (isJsonObject(logConfig) && field(logConfig, 'enableInstanceMetrics') === true) return
  throw new FcError(
    'InstanceMetricsRequired',
    `target tracking by this metric requires instance metrics; set logConfig.enableInstanceMetrics of service '${service}'`,
  )
}

function configAnswer(config: Stored<'provision'>, keptOf: Rooms['keptOf']): Answer {
  return { status: 200, body: configBody(config.value, keptOf), headers: { ETag: etagOf(config) } }
}

function configBody(config: ProvisionRecord, keptOf: Rooms['keptOf']): Record<string, unknown> {
  const { alwaysAllocateCPU = false, scheduledActions = [], targetTrackingPolicies = [] } = ownExtras(config)
  const { ready, failure = '' } = keptOf(config)
  return {
    resource: resourceOf(config),
    target: config.target,
    current: ready,
    currentError: failure,
    alwaysAllocateCPU,
    scheduledActions,
    targetTrackingPolicies,
  }
}

function resourceOf({ account, namespace, qualifier, functionName }: ProvisionRecord): string {
  return [account, namespace, qualifier, functionName].join('#')
}
