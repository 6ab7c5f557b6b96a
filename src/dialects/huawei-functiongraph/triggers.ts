import { newId } from '../../definitions/ids.ts'
import { QUOTA as DEFINITIONS, requireQuota } from '../../definitions/quotas.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import { qualifiedKey, triggerKey } from '../../engine/keys.ts'
import { isJsonObject } from '../../model/json.ts'
import { extrasOf, withExtras } from '../extras.ts'
import type { Stored, TriggerRecord } from '../../store/definition-store.ts'
import { FssError } from './errors.ts'
import { enumField, required, stringField } from './fields.ts'
import { QUOTA } from './limits.ts'
import { formatTime } from './names.ts'
import { DIALECT, type Call, type JsonObject, type Operation } from './operation.ts'
import { requireAt, urnOf } from './target.ts'
import { readEventData } from './trigger-events.ts'
import { TRIGGER_TYPES, type TriggerType } from './trigger-types.ts'

const STATUSES = ['ACTIVE', 'DISABLED'] as const

/** A function through a qualifier, and whether the caller named one. */
interface Owner {
  readonly account: string
  readonly namespace: string
  readonly name: string
  /** The version or alias that triggers made through this URN call. */
  readonly qualifier: string
  /** A version other than the latest, or an alias: then only its triggers are meant. */
  readonly isQualified: boolean
}

/**
 * POST /fgs/triggers/U: stored and shown again; nothing happens by itself.
 *
 * @throws {FssError} `FSS.1101`: the type; the type's own codes for its data; `FSS.1148`: a timer of that name exists;
 *   `FSS.1306`: too many
 */
export const createFunctionTrigger: Operation = async (call, { catalogue, now }) => {
  const { body } = call
  const type = required(
    stringField(body, 'trigger_type_code', { max: 64, code: 'FSS.1101' }),
    'trigger_type_code',
    'FSS.1101',
  )
  const known = typeOf(type)
  const status = enumField(body, 'trigger_status', STATUSES)
  const eventType = stringField(body, 'event_type_code', { max: 64 })
  const data = readEventData(type, body['event_data'])
  const enabled = isEnabled(type, known, status, known.startsDisabled !== true)
  const record = await catalogue.change((draft) => {
    const nowMs = now()
    const owner = ownerOf(draft, call)
    const others = triggersOf(draft, owner)
    if (others.filter(({ value }) => value.qualifier === owner.qualifier).length >= QUOTA.triggers)
      throw new FssError('FSS.1306', `a version may have no more than ${QUOTA.triggers} triggers`)
    const prefix = qualifiedKey(owner.account, owner.namespace, owner.name, '')
    requireQuota(draft, 'trigger', prefix, DEFINITIONS.triggersPerFunction, 'triggers of a function')
    const id = newId()
    const name = nameOf(type, data, id)
    const key = triggerKey(owner.account, owner.namespace, owner.name, type.toLowerCase(), name)
    if (draft.get('trigger', key) !== undefined)
      throw new FssError(known.exists, `the trigger '${name}' exists`)
    const own = { id, event_data: data, ...(eventType !== undefined && { event_type_code: eventType }) }
    return draft.put('trigger', key, {
      account: owner.account,
      namespace: owner.namespace,
      functionName: owner.name,
      qualifier: owner.qualifier,
      name,
      type: type.toLowerCase(),
      enabled,
      extras: withExtras({}, DIALECT, own),
      createdAtMs: nowMs,
      modifiedAtMs: nowMs,
    })
  })
  return { status: 201, body: triggerBody(record.value) }
}

/** GET /fgs/triggers/U: a list with nothing around it; through a version or an alias only its own. */
export const listFunctionTriggers: Operation = (call, { catalogue }) => ({
  status: 200,
  body: triggersOf(catalogue, ownerOf(catalogue, call)).map(({ value }) => triggerBody(value)),
})

/** DELETE /fgs/triggers/U: all triggers of the function; through a version or an alias only its own. */
export const batchDeleteFunctionTriggers: Operation = async (call, { catalogue }) => {
  await catalogue.change((draft) => {
    for (const { key } of triggersOf(draft, ownerOf(draft, call))) draft.delete('trigger', key)
  })
  return { status: 204 }
}

/** GET /fgs/triggers/U/{trigger_type_code}/{trigger_id} @throws {FssError} the type's code for a trigger that is not there */
export const showFunctionTrigger: Operation = (call, { catalogue }) => ({
  status: 200,
  body: triggerBody(requireTrigger(catalogue, call).value),
})

/** PUT of the same path: the status, and members of the event data; what is absent stays. */
export const updateTrigger: Operation = async (call, { catalogue, now }) => {
  const status = enumField(call.body, 'trigger_status', STATUSES)
  const record = await catalogue.change((draft) => {
    const { key, value } = requireTrigger(draft, call)
    const type = value.type.toUpperCase()
    const known = typeOf(type)
    const own = extrasOf(value.extras, DIALECT)
    const data = readEventData(type, call.body['event_data'], eventDataOf(value))
    const name = nameOf(type, data, value.name)
    const { account, namespace, functionName } = value
    const newKey = triggerKey(account, namespace, functionName, value.type, name)
    if (newKey !== key) {
      if (draft.get('trigger', newKey) !== undefined)
        throw new FssError(known.exists, `the trigger '${name}' exists`)
      draft.delete('trigger', key)
    }
    return draft.put('trigger', newKey, {
      ...value,
      name,
      enabled: isEnabled(type, known, status, value.enabled),
      extras: withExtras(value.extras, DIALECT, { ...own, event_data: data }),
      modifiedAtMs: now(),
    })
  })
  return { status: 200, body: triggerBody(record.value) }
}

/** DELETE of the same path @throws {FssError} as {@link showFunctionTrigger} */
export const deleteFunctionTrigger: Operation = async (call, { catalogue }) => {
  await catalogue.change((draft) => draft.delete('trigger', requireTrigger(draft, call).key))
  return { status: 204 }
}

function ownerOf(definitions: Definitions, call: Call): Owner {
  const urn = urnOf(call)
  const { account, namespace, name, version } = requireAt(definitions, call.accountId, urn).value
  return {
    account,
    namespace,
    name,
    qualifier: urn.isAlias && urn.qualifier !== undefined ? urn.qualifier : version,
    isQualified: urn.qualifier !== undefined,
  }
}

/** The triggers this API made, oldest first. */
function triggersOf(definitions: Definitions, owner: Owner): readonly Stored<'trigger'>[] {
  return definitions
    .list('trigger', qualifiedKey(owner.account, owner.namespace, owner.name, ''))
    .filter(
      ({ value }) => idOf(value) !== undefined && (!owner.isQualified || value.qualifier === owner.qualifier),
    )
    .sort((a, b) => a.value.createdAtMs - b.value.createdAtMs)
}

/** A trigger is named by its id: its URN need not have the qualifier it was made through. */
function requireTrigger(definitions: Definitions, call: Call): Stored<'trigger'> {
  const type = call.params['trigger_type_code'] ?? ''
  const id = call.params['trigger_id'] ?? ''
  const { missing } = typeOf(type)
  const owner = { ...ownerOf(definitions, call), isQualified: false }
  const found = triggersOf(definitions, owner).find(
    ({ value }) => idOf(value) === id && value.type === type.toLowerCase(),
  )
  if (found === undefined) throw new FssError(missing, `not found the trigger '${id.slice(0, 64)}'`)
  return found
}

function typeOf(type: string): TriggerType {
  const known = TRIGGER_TYPES.get(type)
  if (known === undefined)
    throw new FssError(
      'FSS.1101',
      `invalid parameter trigger_type_code (allowed: ${[...TRIGGER_TYPES.keys()].join(' | ')})`,
    )
  return known
}

function isEnabled(
  type: string,
  { canBeDisabled = false }: TriggerType,
  status: (typeof STATUSES)[number] | undefined,
  otherwise: boolean,
): boolean {
  if (status === 'DISABLED' && !canBeDisabled)
    throw new FssError('FSS.0400', `a trigger of type ${type} cannot be disabled`)
  return status === undefined ? otherwise : status === 'ACTIVE'
}

/** Unique for a function's triggers of one type: timers have names, others only their ids. */
function nameOf(type: string, data: JsonObject, fallback: string): string {
  const { name } = data
  return type === 'TIMER' && typeof name === 'string' ? name : fallback
}

function idOf(record: TriggerRecord): string | undefined {
  const { id } = extrasOf(record.extras, DIALECT)
  return typeof id === 'string' ? id : undefined
}

function eventDataOf(record: TriggerRecord): JsonObject {
  const data = extrasOf(record.extras, DIALECT)['event_data']
  return isJsonObject(data) ? data : {}
}

function triggerBody(record: TriggerRecord): JsonObject {
  const id = idOf(record) ?? ''
  const data = eventDataOf(record)
  const isGateway = record.type === 'apig' || record.type === 'dedicatedgateway'
  return {
    trigger_id: id,
    trigger_type_code: record.type.toUpperCase(),
    trigger_status: record.enabled ? 'ACTIVE' : 'DISABLED',
    event_data: isGateway ? { ...data, triggerid: id, api_id: id, api_name: data['name'] ?? '' } : data,
    last_updated_time: formatTime(record.modifiedAtMs),
    created_time: formatTime(record.createdAtMs),
  }
}
