import { QUOTA, requireQuota } from '../../definitions/quotas.ts'
import type { Definitions, Draft } from '../../engine/catalogue.ts'
import { documentKey, functionKey, namespaceKey, qualifiedKey, versionKey } from '../../engine/keys.ts'
import { EngineError } from '../../model/errors.ts'
import { LATEST, type FunctionName } from '../../model/function.ts'
import type { FunctionRecord, ProvisionRecord, Stored } from '../../store/store.ts'
import { cronFault } from './cron.ts'
import { ScfError } from './errors.ts'
import { integerField, invalidValue, isObject, numberField, objectListField, textField } from './fields.ts'
import { DIALECT, type Call, type JsonObject, type Operation } from './operation.ts'
import { DEFAULT_ALIAS, qualifierOf, requireLatest, shownQualifier, targetOf } from './targets.ts'

/**
 * Memory of all functions of an account together, MB, and what of it no function may reserve. Source: the vendor's quota
 * page, for its large regions. Only settings are held to it: what may really run at once is the server's own limit.
 */
export const TOTAL_MEMORY_MIB = 128_000
const UNRESERVED_MEMORY_MIB = 12_800

const RESERVE = 'reserved concurrency'
const MAX_TRIGGER_ACTIONS = 10

/**
 * Keeps memory of the account for a function, and caps the function by it: each of its states runs in as many instances
 * as fit. 0 blocks it.
 *
 * @throws {ScfError} `LimitExceeded.FunctionReservedConcurrencyMemory`
 */
export const putReservedConcurrencyConfig: Operation = async (call, { catalogue, now }) => {
  const target = targetOf(call)
  const mib = integerField(call.params, 'ReservedConcurrencyMem', { required: true })
  await catalogue.change((draft) => {
    const head = requireLatest(draft, target)
    requireReservable(draft, target, mib)
    const key = reserveKey(target)
    const before = draft.get('document', key)
    const nowMs = now()
    if (before === undefined) {
      const all = `${target.account}/`
      requireQuota(draft, 'document', all, QUOTA.documentsPerAccount, 'documents in the account')
      requireQuota(draft, 'scaling', all, QUOTA.settingsPerAccount, 'scaling settings in the account')
    }
    draft.put('document', key, {
      account: target.account,
      owner: `${target.namespace}/${target.name}`,
      name: RESERVE,
      content: { mib },
      createdAtMs: before?.value.createdAtMs ?? nowMs,
      modifiedAtMs: nowMs,
    })
    applyReserve(draft, head.value, nowMs)
  })
  return {}
}

/** `ReservedMem` is null where nothing is reserved. */
export const getReservedConcurrencyConfig: Operation = (call, { catalogue }) => {
  const head = requireLatest(catalogue, targetOf(call))
  return { ReservedMem: reservedMib(catalogue, head.value) ?? null }
}

/** Takes back the reserve and its cap. A function without any is left as it is. */
export const deleteReservedConcurrencyConfig: Operation = async (call, { catalogue }) => {
  const target = targetOf(call)
  await catalogue.change((draft) => {
    requireLatest(draft, target)
    draft.delete('document', reserveKey(target))
    for (const { value } of statesOf(draft, target))
      draft.delete('scaling', qualifiedKey(target.account, target.namespace, target.name, value.version))
  })
  return {}
}

/**
 * Holds each state of a function to what its reserve has room for, where it has one. For whoever changed a function's
 * memory or gave it another version.
 */
export function applyReserve(draft: Draft, target: FunctionName, nowMs: number): void {
  const mib = writtenReserveMib(draft, target)
  if (mib === undefined) return
  const { account, namespace, name } = target
  for (const { value: state } of statesOf(draft, target)) {
    const key = qualifiedKey(account, namespace, name, state.version)
    const before = draft.get('scaling', key)
    const maxInstances = Math.floor(mib / state.spec.memoryMib)
    if (before?.value.maxInstances === maxInstances) continue
    draft.put('scaling', key, {
      account,
      namespace,
      functionName: name,
      qualifier: state.version,
      maxInstances,
      createdAtMs: before?.value.createdAtMs ?? nowMs,
      modifiedAtMs: nowMs,
    })
  }
}

/** Memory reserved for a function, MB: as it was set here, or what a cap set through another API comes to. */
export function reservedMib(definitions: Definitions, head: FunctionRecord): number | undefined {
  const { account, namespace, name, spec } = head
  const cap = definitions.get('scaling', qualifiedKey(account, namespace, name, LATEST))?.value.maxInstances
  if (cap === undefined) return undefined
  const written = writtenReserveMib(definitions, head)
  const isCurrent = written !== undefined && Math.floor(written / spec.memoryMib) === cap
  return isCurrent ? written : cap * spec.memoryMib
}

/** Memory of the instances that are to be kept ready for a function's versions, MB. */
export function provisionedMib(definitions: Definitions, { account, namespace, name }: FunctionName): number {
  return provisionsOf(definitions, { account, namespace, name }).reduce((sum, { qualifier, target }) => {
    const state = definitions.get('function', functionKey(account, namespace, name, qualifier))
    return sum + target * (state?.value.spec.memoryMib ?? 0)
  }, 0)
}

/**
 * Keeps instances of a published version ready. It is stored and reported; instances start with their first call.
 *
 * @throws {ScfError} `InvalidParameterValue.Qualifier`, `LimitExceeded.FunctionTotalProvisionedConcurrencyMemory`
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
    if (before === undefined)
      requireQuota(
        draft,
        'provision',
        `${target.account}/`,
        QUOTA.settingsPerAccount,
        'provision settings in the account',
      )
    if (count * memoryMib > TOTAL_MEMORY_MIB)
      throw new ScfError(
        'LimitExceeded.FunctionProvisionedConcurrencyMemory',
        `${count} instances of ${memoryMib} MB exceed the account's ${TOTAL_MEMORY_MIB} MB`,
      )
    const nowMs = now()
    draft.put('provision', key, {
      account: target.account,
      namespace: target.namespace,
      functionName: target.name,
      qualifier,
      target: count,
      extras: { ...before?.value.extras, [DIALECT]: settings },
      createdAtMs: before?.value.createdAtMs ?? nowMs,
      modifiedAtMs: nowMs,
    })
  })
  return {}
}

/** The settings of one version, or of all. What is set counts as reached: any call gets its instance. */
export const getProvisionedConcurrencyConfig: Operation = (call, { catalogue }) => {
  const target = targetOf(call)
  const qualifier = qualifierOf(call.params)
  const head = requireLatest(catalogue, target).value
  const all = provisionsOf(catalogue, target)
  const room = reservedMib(catalogue, head) ?? TOTAL_MEMORY_MIB - UNRESERVED_MEMORY_MIB
  const free = room - provisionedMib(catalogue, target)
  return {
    UnallocatedConcurrencyNum: Math.max(0, Math.floor(free / head.spec.memoryMib)),
    Allocated: all
      .filter((provision) => qualifier === undefined || provision.qualifier === qualifier)
      .map(provisionBody),
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

function reserveKey({ account, namespace, name }: FunctionName): string {
  return documentKey(account, `${namespace}/${name}`, DIALECT, RESERVE)
}

function writtenReserveMib(definitions: Definitions, target: FunctionName): number | undefined {
  const mib = definitions.get('document', reserveKey(target))?.value.content['mib']
  return typeof mib === 'number' ? mib : undefined
}

/** The latest state of a function and its own published ones. */
function statesOf(definitions: Definitions, target: FunctionName): readonly Stored<'function'>[] {
  const { account, namespace, name } = target
  const versions = definitions.list('version', versionKey(account, namespace, '', name))
  return [LATEST, ...versions.map(({ value }) => value.version)].flatMap(
    (version) => definitions.get('function', functionKey(account, namespace, name, version)) ?? [],
  )
}

/** All reserves together leave the rest of the account something. */
function requireReservable(definitions: Definitions, target: FunctionName, mib: number): void {
  const own = reserveKey(target)
  const others = definitions
    .list('document', `${target.account}/`)
    .filter(({ key, value }) => key !== own && value.name === RESERVE)
    .reduce((sum, { value }) => sum + Number(value.content['mib']), 0)
  const most = TOTAL_MEMORY_MIB - UNRESERVED_MEMORY_MIB
  if (others + mib > most)
    throw new ScfError(
      'LimitExceeded.FunctionReservedConcurrencyMemory',
      `all functions together may reserve ${most} MB; ${others} MB are reserved by others`,
    )
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

function provisionBody({ qualifier, target, extras }: ProvisionRecord): JsonObject {
  const own = extras[DIALECT]
  return {
    AllocatedProvisionedConcurrencyNum: target,
    AvailableProvisionedConcurrencyNum: target,
    Status: 'Done',
    StatusReason: '',
    Qualifier: shownQualifier(qualifier),
    TriggerActions: isObject(own) && Array.isArray(own['triggerActions']) ? own['triggerActions'] : [],
  }
}
