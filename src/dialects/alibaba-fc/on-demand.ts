import { putCap } from '../../definitions/settings.ts'
import { qualifiedKey } from '../../engine/keys.ts'
import { LATEST } from '../../model/function.ts'
import type { ScalingRecord, Stored } from '../../store/definition-store.ts'
import { FcError } from './errors.ts'
import { integerField, required } from './fields.ts'
import { etagOf, functionResource } from './names.ts'
import type { Answer, Operation } from './operation.ts'
import { page } from './paging.ts'
import { requireMatch } from './precondition.ts'
import { namedBy, qualifiedFunctionOf, type QualifiedFunction } from './target.ts'

/** Instances; the vendor's clients declare a 32-bit number. 0 admits no call. */
const INSTANCES = { min: 0, max: 2_147_483_647 }

/** @throws {FcError} OnDemandConfigNotFound */
export const getFunctionOnDemandConfig: Operation = (call, { catalogue }) => {
  const target = qualifiedFunctionOf(call)
  const config = catalogue.get('scaling', keyOf(target))
  if (config === undefined) throw notFound(target)
  return configAnswer(config)
}

/** The function and its qualifier need not exist (yet): the vendor's own suite sets caps for neither. */
export const putFunctionOnDemandConfig: Operation = async (call, { catalogue, now }) => {
  const target = qualifiedFunctionOf(call)
  const name = 'maximumInstanceCount'
  const maxInstances = required(integerField(call.body, name, INSTANCES), name)
  const stored = await catalogue.change((draft) => {
    const before = draft.get('scaling', keyOf(target))
    if (before !== undefined) requireMatch(call, before)
    return putCap(draft, namedBy(target), target.qualifier, maxInstances, now())
  })
  return configAnswer(stored)
}

/** @throws {FcError} OnDemandConfigNotFound */
export const deleteFunctionOnDemandConfig: Operation = async (call, { catalogue }) => {
  const target = qualifiedFunctionOf(call)
  await catalogue.change((draft) => {
    const config = draft.get('scaling', keyOf(target))
    if (config === undefined) throw notFound(target)
    requireMatch(call, config)
    draft.delete('scaling', config.key)
  })
  return { status: 204 }
}

/** The account's caps in the order of their `resource`, which the filters are compared with. None: no `configs`. */
export const listOnDemandConfigs: Operation = (call, { catalogue }) => {
  const configs = catalogue.list('scaling', `${call.accountId}/`)
  const { items, nextToken } = page(call.query, configs, ({ value }) => resourceOf(value))
  return {
    status: 200,
    body: {
      ...(items.length > 0 && { configs: items.map(({ value }) => configBody(value)) }),
      nextToken,
    },
  }
}

function keyOf({ account, service, name, qualifier }: QualifiedFunction): string {
  return qualifiedKey(account, service, name, qualifier)
}

function notFound({ service, name, qualifier }: QualifiedFunction): FcError {
  return new FcError(
    'OnDemandConfigNotFound',
    `on-demand config of function '${name}' in service '${service}' with qualifier '${qualifier}' does not exist`,
  )
}

function configAnswer(config: Stored<'scaling'>): Answer {
  return { status: 200, body: configBody(config.value), headers: { ETag: etagOf(config) } }
}

function configBody(config: ScalingRecord): Record<string, unknown> {
  return { resource: resourceOf(config), maximumInstanceCount: config.maxInstances }
}

function resourceOf({ namespace, functionName, qualifier }: ScalingRecord): string {
  return functionResource(namespace, functionName, qualifier === LATEST ? undefined : qualifier)
}
