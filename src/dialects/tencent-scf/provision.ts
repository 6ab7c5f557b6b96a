import { settingMembers } from '../../definitions/settings.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import type { Readiness } from '../../engine/kept.ts'
import { functionKey, namespaceKey, qualifiedKey } from '../../engine/keys.ts'
import { EngineError } from '../../model/errors.ts'
import { LATEST, type FunctionName } from '../../model/function.ts'
import { isJsonObject } from '../../model/json.ts'
import type { FunctionRecord, ProvisionRecord } from '../../store/definition-store.ts'
import { withExtras } from '../extras.ts'
import { reservedMib, TOTAL_MEMORY_MIB, UNRESERVED_MEMORY_MIB } from './concurrency.ts'
import { cronFault } from './cron.ts'
import { ScfError } from './errors.ts'
import { integerField, invalidValue, numberField, objectListField, textField } from './fields.ts'
import { DIALECT, type Call, type JsonObject, type Operation } from './operation.ts'
import { DEFAULT_ALIAS, qualifierOf, requireLatest, shownQualifier, targetOf } from './targets.ts'

/** The vendor publishes no number. */
const MAX_TRIGGER_ACTIONS = 10

/**
 * Memory of the instances that are to be kept ready for each function of an account, MB, by `namespace/function`; none for
 * those that are not listed.
 *
 * @param prefix Of the keys looked at: default all of the account.
 */
export function provisionedMib(
  definitions: Definitions,
  account: string,
  prefix = `${account}/`,
): ReadonlyMap<string, number> {
  const sums = new Map<string, number>()
  for (const { value } of definitions.list('provision', prefix)) {
    const { namespace, functionName, qualifier, target } = value
    const state = definitions.get('function', functionKey(account, namespace, functionName, qualifier))
    const name = `${namespace}/${functionName}`
    sums.set(name, (sums.get(name) ?? 0) + target * (state?.value.spec.memoryMib ?? 0))
  }
  return sums
}

/**
 * Keeps instances of a published version ready; they are started in the background.
 *
 * @throws {ScfError} `InvalidParameterValue.Qualifier`, `LimitExceeded.FunctionProvisionedConcurrencyMemory`,
 *   `LimitExceeded.FunctionTotalProvisionedConcurrencyMemory`
 */
export const putProvisionedConcurrencyConfig: Operation = async (call, { catalogue, now }) => {
  const target = targetOf(call)
  const qualifier = versionOf(call)
  const count = integerField(call.params, 'VersionProvisionedConcurrencyNum', { required: true })
  const settings = readProvision(call.params)
  await catalogue.change((draft) => {
    const { memoryMib } = requireVersion(draft, target, qualifier).spec
    const key = qualifiedKey(target.account, target.namespace, target.name, qualifier)
    const before = draft.get('provision', key)
    if (count * memoryMib > TOTAL_MEMORY_MIB)
      throw new ScfError(
        'LimitExceeded.FunctionProvisionedConcurrencyMemory',
        `${count} instances of ${memoryMib} MB exceed the account's ${TOTAL_MEMORY_MIB} MB`,
      )
    const others = provisionedMibOf(draft, target) - (before?.value.target ?? 0) * memoryMib
    const room = roomMibOf(draft, requireLatest(draft, target).value)
    if (others + count * memoryMib > room)
      throw new ScfError(
        'LimitExceeded.FunctionTotalProvisionedConcurrencyMemory',
        `all versions of function '${target.name}' together may take ${room} MB; others take ${others} MB`,
      )
    draft.put('provision', key, {
      ...settingMembers(draft, 'provision', target, qualifier, now()),
      target: count,
      extras: withExtras(before?.value.extras ?? {}, DIALECT, settings),
    })
  })
  return {}
}

/** The settings of one version, or of all, and how many of the instances are ready. */
export const getProvisionedConcurrencyConfig: Operation = (call, { catalogue, keptOf }) => {
  const target = targetOf(call)
  const qualifier = qualifierOf(call.params)
  const head = requireLatest(catalogue, target).value
  const all = provisionsOf(catalogue, target)
  const free = roomMibOf(catalogue, head) - provisionedMibOf(catalogue, target)
  return {
    UnallocatedConcurrencyNum: Math.max(0, Math.floor(free / head.spec.memoryMib)),
    Allocated: all
      .filter((provision) => qualifier === undefined || provision.qualifier === qualifier)
      .map((provision) => provisionBody(provision, keptOf(provision))),
  }
}

/** @throws {ScfError} `ResourceNotFound.Version`. A version without any setting is left as it is. */
export const deleteProvisionedConcurrencyConfig: Operation = async (call, { catalogue }) => {
  const target = targetOf(call)
  const qualifier = versionOf(call)
  await catalogue.change((draft) => {
    requireVersion(draft, target, qualifier)
    draft.delete('provision', qualifiedKey(target.account, target.namespace, target.name, qualifier))
  })
  return {}
}

/** What {@link provisionedMib} tells of one function. */
function provisionedMibOf(definitions: Definitions, { account, namespace, name }: FunctionName): number {
  const own = qualifiedKey(account, namespace, name, '')
  return provisionedMib(definitions, account, own).get(`${namespace}/${name}`) ?? 0
}

/** Memory that provisioned instances of a function may take, MB: its reserve, or what may be reserved where it has none. */
function roomMibOf(definitions: Definitions, head: FunctionRecord): number {
  return reservedMib(definitions, head) ?? TOTAL_MEMORY_MIB - UNRESERVED_MEMORY_MIB
}

/** The published version a request is about. */
function versionOf(call: Call): string {
  const qualifier = qualifierOf(call.params, 'Qualifier', { required: true })
  if (qualifier === undefined || qualifier === LATEST || qualifier === DEFAULT_ALIAS)
    throw invalidValue(
      'Qualifier',
      'a published version',
      shownQualifier(qualifier),
      'InvalidParameterValue.Qualifier',
    )
  return qualifier
}

function requireVersion(definitions: Definitions, target: FunctionName, version: string): FunctionRecord {
  requireLatest(definitions, target)
  const { account, namespace, name } = target
  const state = definitions.get('function', functionKey(account, namespace, name, version))
  if (state === undefined) throw new EngineError('caller/version-not-found', { namespace, version })
  return state.value
}

function provisionsOf(definitions: Definitions, target: FunctionName): readonly ProvisionRecord[] {
  const { account, namespace, name } = target
  return definitions
    .list('provision', `${namespaceKey(account, namespace)}/${name}/`)
    .map(({ value }) => value)
    .filter(({ target: count }) => count > 0)
}

function readProvision(params: JsonObject): JsonObject {
  const actions = objectListField(params, 'TriggerActions', { max: MAX_TRIGGER_ACTIONS }) ?? []
  const tracking = numberField(params, 'TrackingTarget', { min: 0, max: 1 })
  const least = integerField(params, 'MinCapacity', { min: 0 })
  const most = integerField(params, 'MaxCapacity', { min: 0 })
  if (least !== undefined && most !== undefined && least > most)
    throw invalidValue('MinCapacity', 'at most MaxCapacity', least)
  return {
    triggerActions: actions.map(readTriggerAction),
    type: readProvisionType(params) ?? 'Default',
    ...(tracking === undefined ? {} : { trackingTarget: tracking }),
    ...(least === undefined ? {} : { minCapacity: least }),
    ...(most === undefined ? {} : { maxCapacity: most }),
  }
}

function readTriggerAction(action: JsonObject): JsonObject {
  const cron = textField(action, 'TriggerCronConfig', { required: true, max: 256 })
  const fault = cronFault(cron)
  if (fault !== undefined) throw new ScfError('InvalidParameterValue', fault)
  return {
    TriggerName: textField(action, 'TriggerName', { required: true, min: 1, max: 128 }),
    TriggerProvisionedConcurrencyNum: integerField(action, 'TriggerProvisionedConcurrencyNum', {
      required: true,
    }),
    TriggerCronConfig: cron,
    ProvisionedType: readProvisionType(action) ?? 'Default',
  }
}

function readProvisionType(params: JsonObject): string | undefined {
  return textField(params, 'ProvisionedType', {
    max: 64,
    pattern: /^(?:|Default|ConcurrencyUtilizationTracking)$/,
  })
}

function provisionBody(
  { qualifier, target, extras }: ProvisionRecord,
  { ready, failure }: Readiness,
): JsonObject {
  const own = extras[DIALECT]
  return {
    AllocatedProvisionedConcurrencyNum: target,
    AvailableProvisionedConcurrencyNum: ready,
    Status: ready >= target ? 'Done' : failure === undefined ? 'InProgress' : 'Failed',
    StatusReason: failure ?? '',
    Qualifier: shownQualifier(qualifier),
    TriggerActions: isJsonObject(own) && Array.isArray(own['triggerActions']) ? own['triggerActions'] : [],
  }
}
