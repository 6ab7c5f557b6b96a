import { findFunction } from '../../definitions/find-function.ts'
import { settingMembers } from '../../definitions/settings.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import { aliasKey, functionKey, qualifiedKey } from '../../engine/keys.ts'
import { extrasOf, withExtras } from '../extras.ts'
import type { ProvisionRecord } from '../../store/definition-store.ts'
import { bucketsOf, missingSeries, spanOf } from './buckets.ts'
import { booleanField, integerField, objectListField, objectField, required, stringField } from './fields.ts'
import { FssError } from './errors.ts'
import { MAX_INSTANCES } from './function-settings.ts'
import { shownVersion } from './names.ts'
import { DIALECT, type Call, type JsonObject, type Operation } from './operation.ts'
import { CONFIG_PAGES, pageInfo, pageOf } from './paging.ts'
import { requireAt, urnOf } from './target.ts'
import { isCron } from './timer-schedule.ts'
import { formatUrn, parseUrn } from './urn.ts'

/** Entries of each list of tactics. The vendor publishes no number. */
const MAX_TACTICS = 100

/** How far back a report looks. */
const REPORT_MINUTES = 60

/**
 * PUT F/U/reservedinstances: how many instances are to be kept ready through a version or an alias, by a number and by tactics.
 * 0 without tactics removes the configuration.
 *
 * @throws {FssError} `FSS.0400`
 */
export const updateFunctionReservedInstancesCount: Operation = async (call, { catalogue, now }) => {
  const urn = urnOf(call)
  const { body } = call
  const count = required(integerField(body, 'count', { min: 0, max: MAX_INSTANCES }), 'count')
  const idle_mode = booleanField(body, 'idle_mode') ?? false
  const tactics_config = readTactics(body)
  const own = { idle_mode, ...(tactics_config !== undefined && { tactics_config }) }
  await catalogue.change((draft) => {
    const { account, namespace, name, version } = requireAt(draft, call.accountId, urn).value
    const qualifier = qualifierBehind(urn, version)
    const key = qualifiedKey(account, namespace, name, qualifier)
    const before = draft.get('provision', key)?.value
    if (count === 0 && !hasTactics(tactics_config)) {
      draft.delete('provision', key)
      return
    }
    draft.put('provision', key, {
      ...settingMembers(draft, 'provision', { account, namespace, name }, qualifier, now()),
      target: count,
      extras: withExtras(before?.extras ?? {}, DIALECT, own),
    })
  })
  return { status: 200, body: { count, ...own } }
}

/** GET F/reservedinstances: how many instances are reserved, whether or not they are ready, by function and qualifier; `urn` narrows it to one function. */
export const listFunctionReservedInstances: Operation = (call, { catalogue }) => {
  const page = pageOf(call.query, provisionsOf(catalogue, call, 'urn'), CONFIG_PAGES)
  return {
    status: 200,
    body: {
      reservedinstances: page.items.map((value) => ({
        func_urn: urnThrough(catalogue, call, value),
        count: value.target,
      })),
      ...pageInfo(page),
    },
  }
}

/** GET F/reservedinstanceconfigs: what was set, by function and qualifier; `function_urn` narrows it to one function. */
export const listReservedInstanceConfigs: Operation = (call, { catalogue }) => {
  const page = pageOf(call.query, provisionsOf(catalogue, call, 'function_urn'), CONFIG_PAGES)
  return {
    status: 200,
    body: {
      reserved_instances: page.items.map((value) => configBody(catalogue, call, value)),
      ...pageInfo(page),
    },
  }
}

/**
 * GET F/U/instancereports: nothing counts instances over time here, so every value is the one for "not known", but that of the
 * reserved instances in the minute of now: those that are ready.
 */
export const showFuncReservedInstanceMetrics: Operation = (call, { catalogue, keptOf, now }) => {
  const urn = urnOf(call)
  const { account, namespace, name, version } = requireAt(catalogue, call.accountId, urn).value
  const qualifier = qualifierBehind(urn, version)
  const record = catalogue.get('provision', qualifiedKey(account, namespace, name, qualifier))?.value
  const value = record === undefined ? 0 : keptOf(record).ready
  const series = missingSeries(bucketsOf(spanOf(String(REPORT_MINUTES), now())))
  const known = series.slice(-1).map(({ timestamp }) => ({ timestamp, value }))
  return {
    status: 200,
    body: { instanceNum: series, reservedInstanceNum: [...series.slice(0, -1), ...known] },
  }
}

/** DELETE F/U/reservedinstances/{instance_id}: calls hold no instance beyond their end, so there is nothing left to release. */
export const releaseReservedInstance: Operation = (call, { catalogue }) => {
  requireAt(catalogue, call.accountId, urnOf(call))
  return { status: 204 }
}

/** What the record of a URN is kept under: its alias, or the version that it leads to. */
function qualifierBehind({ isAlias, qualifier }: ReturnType<typeof urnOf>, version: string): string {
  return isAlias && qualifier !== undefined ? qualifier : version
}

function configBody(definitions: Definitions, call: Call, record: ProvisionRecord): JsonObject {
  const own = extrasOf(record.extras, DIALECT)
  return {
    function_urn: urnThrough(definitions, call, record),
    qualifier_type: isAlias(definitions, record) ? 'alias' : 'version',
    qualifier_name: shownVersion(record.qualifier),
    min_count: record.target,
    idle_mode: own['idle_mode'] ?? false,
    tactics_config: own['tactics_config'] ?? {},
  }
}

/** Configurations of an account, or of the one function that the query names. */
function provisionsOf(definitions: Definitions, call: Call, name: string): readonly ProvisionRecord[] {
  const text = call.query.get(name) ?? ''
  const urn = text === '' ? undefined : parseUrn(text, call)
  const prefix =
    urn === undefined ? `${call.accountId}/` : qualifiedKey(call.accountId, urn.namespace, urn.name, '')
  if (urn !== undefined) findFunction(definitions, call.accountId, urn.namespace, urn.name)
  return definitions.list('provision', prefix).map(({ value }) => value)
}

function urnThrough(definitions: Definitions, call: Call, record: ProvisionRecord): string {
  const { namespace, functionName: name, qualifier } = record
  return formatUrn(call, { namespace, name }, isAlias(definitions, record) ? `!${qualifier}` : qualifier)
}

function isAlias(
  definitions: Definitions,
  { account, namespace, functionName, qualifier }: ProvisionRecord,
): boolean {
  if (definitions.get('function', functionKey(account, namespace, functionName, qualifier)) !== undefined)
    return false
  return (
    definitions.get('alias', aliasKey(account, namespace, qualifier, functionName)) !== undefined ||
    definitions.get('alias', aliasKey(account, namespace, qualifier)) !== undefined
  )
}

function hasTactics(tactics: JsonObject | undefined): boolean {
  return Object.values(tactics ?? {}).some((list) => Array.isArray(list) && list.length > 0)
}

function readTactics(body: JsonObject): JsonObject | undefined {
  const given = objectField(body, 'tactics_config')
  if (given === undefined) return undefined
  const cron = objectListField(given, 'cron_configs', MAX_TACTICS)
  const metric = objectListField(given, 'metric_configs', MAX_TACTICS)
  return {
    ...(cron !== undefined && { cron_configs: cron.map(readCronConfig) }),
    ...(metric !== undefined && { metric_configs: metric.map(readMetricConfig) }),
  }
}

function readCronConfig(given: JsonObject): JsonObject {
  const cron = required(stringField(given, 'cron', { max: 128 }), 'cron')
  if (!isCron(cron)) throw new FssError('FSS.0400', 'invalid parameter cron_configs.cron')
  const seconds = { min: 0, max: Number.MAX_SAFE_INTEGER }
  return withoutAbsent({
    name: stringField(given, 'name', { max: 64 }),
    cron,
    count: required(integerField(given, 'count', { min: 0, max: MAX_INSTANCES }), 'count'),
    start_time: integerField(given, 'start_time', seconds),
    expired_time: integerField(given, 'expired_time', seconds),
  })
}

function readMetricConfig(given: JsonObject): JsonObject {
  return withoutAbsent({
    name: stringField(given, 'name', { max: 64 }),
    type: stringField(given, 'type', { pattern: /^Concurrency$/ }) ?? 'Concurrency',
    threshold: required(integerField(given, 'threshold', { min: 1, max: 100 }), 'threshold'),
    min: required(integerField(given, 'min', { min: 0, max: MAX_INSTANCES }), 'min'),
  })
}

function withoutAbsent(members: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))
}
