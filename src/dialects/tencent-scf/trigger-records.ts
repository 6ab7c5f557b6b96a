import type { Definitions, Draft } from '../../engine/catalogue.ts'
import { triggerKey } from '../../engine/keys.ts'
import { LATEST, type FunctionName } from '../../model/function.ts'
import type { Stored, TriggerRecord } from '../../store/definition-store.ts'
import { extrasOf, withExtras } from '../extras.ts'
import { ScfError } from './errors.ts'
import { field, invalidValue, textField } from './fields.ts'
import { DIALECT, type JsonObject } from './operation.ts'
import { qualifierOf, requireAt, requireLatest, shownQualifier } from './targets.ts'
import { formatTime } from './times.ts'
import { canonicalDesc, MAX_TRIGGER_DESC_CHARS } from './trigger-desc.ts'

/** Source of these numbers: the vendor's quota and CreateTrigger pages. */
export const MAX_TRIGGERS_PER_TYPE = 10
const MAX_ARGUMENT_CHARS = 4096
const MAX_DESCRIPTION_CHARS = 1000
const TIMER_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,99}$/
/** Names of other triggers are those of what they belong to, such as a bucket's domain. */
const RESOURCE_NAME = /^[^/\p{Cc}]{1,255}$/u

/** Kinds of triggers. Source: the vendor's DeleteTrigger and GetAccount pages. */
const TYPES = [
  'timer',
  'apigw',
  'http',
  'cos',
  'ckafka',
  'cmq',
  'cls',
  'clb',
  'mps',
  'cm',
  'vod',
  'eb',
] as const
type TriggerType = (typeof TYPES)[number]

/** Names one trigger of a function. */
export interface TriggerReference {
  readonly name: string
  readonly type: TriggerType
}

/** What a request says of a trigger; absent members stay as they are. */
interface GivenTrigger {
  readonly desc?: string
  readonly enabled?: boolean
  readonly qualifier?: string
  readonly description?: string
  readonly argument?: string
}

/** All triggers of a function, whichever API made them. */
export function triggersOf(
  definitions: Definitions,
  { account, namespace, name }: FunctionName,
): readonly TriggerRecord[] {
  return definitions.list('trigger', `${account}/${namespace}/${name}/`).map(({ value }) => value)
}

/** A trigger as answers show it. */
export function triggerBody(trigger: TriggerRecord): JsonObject {
  const own = ownTriggerExtras(trigger)
  return {
    Type: trigger.type,
    TriggerName: trigger.name,
    TriggerDesc: own.desc,
    Enable: trigger.enabled ? 1 : 0,
    CustomArgument: own.argument,
    AvailableStatus: 'Available',
    AddTime: formatTime(trigger.createdAtMs),
    ModTime: formatTime(trigger.modifiedAtMs),
    Qualifier: shownQualifier(trigger.qualifier),
    Description: own.description,
    ResourceId: '',
    BindStatus: '',
    TriggerAttribute: '',
  }
}

/** Makes a trigger, or lays what a request says over it. @throws {ScfError} */
export function putTrigger(
  draft: Draft,
  target: FunctionName,
  reference: TriggerReference,
  given: GivenTrigger,
  nowMs: number,
): Stored<'trigger'> {
  const key = triggerKeyOf(target, reference)
  const before = draft.get('trigger', key)?.value
  if (before === undefined) requireRoom(draft, target, reference.type)
  const own = ownTriggerExtras(before)
  const qualifier = given.qualifier ?? before?.qualifier ?? LATEST
  if (qualifier !== before?.qualifier) requireAt(draft, target, qualifier)
  const desc = given.desc ?? own.desc
  if (desc === '' && before === undefined && reference.type === 'timer')
    throw new ScfError('MissingParameter', 'the request is missing the parameter TriggerDesc')
  return draft.put('trigger', key, {
    account: target.account,
    namespace: target.namespace,
    functionName: target.name,
    qualifier,
    name: reference.name,
    type: reference.type,
    enabled: given.enabled ?? before?.enabled ?? true,
    extras: withExtras(before?.extras ?? {}, DIALECT, {
      desc,
      argument: given.argument ?? own.argument,
      description: given.description ?? own.description,
    }),
    createdAtMs: before?.createdAtMs ?? nowMs,
    modifiedAtMs: nowMs,
  })
}

/** @throws {ScfError} `ResourceNotFound.Trigger` */
export function requireTrigger(
  definitions: Definitions,
  target: FunctionName,
  { name, type }: TriggerReference,
  qualifier: string | undefined,
): Stored<'trigger'> {
  requireLatest(definitions, target)
  const trigger = definitions.get('trigger', triggerKeyOf(target, { name, type }))
  if (trigger === undefined || (qualifier !== undefined && trigger.value.qualifier !== qualifier))
    throw new ScfError(
      'ResourceNotFound.Trigger',
      `function '${target.name}' has no ${type} trigger '${name}'` +
        (qualifier === undefined ? '' : ` for '${shownQualifier(qualifier)}'`),
    )
  return trigger
}

/** `TriggerName` and `Type` of a request. @throws {ScfError} */
export function triggerOf(params: JsonObject): TriggerReference {
  const typeCode = 'InvalidParameterValue.Type'
  const word = textField(params, 'Type', { required: true, max: 64, code: typeCode })
  const type = TYPES.find((known) => known === word)
  if (type === undefined) throw invalidValue('Type', TYPES.join(', '), word, typeCode)
  const name = textField(params, 'TriggerName', {
    required: true,
    pattern: type === 'timer' ? TIMER_NAME : RESOURCE_NAME,
    code: 'InvalidParameterValue.TriggerName',
  })
  return { name, type }
}

/** What a request says of a trigger beside its name. @throws {ScfError} */
export function readTrigger(params: JsonObject, { name, type }: TriggerReference): GivenTrigger {
  const desc = textField(params, 'TriggerDesc', {
    max: MAX_TRIGGER_DESC_CHARS,
    code: 'InvalidParameterValue.TriggerDesc',
  })
  const enabled = readEnabled(params)
  const qualifier = qualifierOf(params)
  const description = textField(params, 'Description', {
    max: MAX_DESCRIPTION_CHARS,
    code: 'InvalidParameterValue.Description',
  })
  const argument = textField(params, 'CustomArgument', {
    max: MAX_ARGUMENT_CHARS,
    code: 'InvalidParameterValue.CustomArgument',
  })
  return {
    ...(desc === undefined || desc === '' ? {} : { desc: canonicalDesc(type, name, desc) }),
    ...(enabled === undefined ? {} : { enabled }),
    ...(qualifier === undefined ? {} : { qualifier }),
    ...(description === undefined ? {} : { description }),
    ...(argument === undefined ? {} : { argument }),
  }
}

/** `Enable`: on or off. @throws {ScfError} */
export function readEnabled(
  params: JsonObject,
  options: { readonly required?: boolean } = {},
): boolean | undefined {
  const given = field(params, 'Enable')
  if (given === undefined && options.required === true)
    throw new ScfError('MissingParameter', 'the request is missing the parameter Enable')
  if (given === undefined || given === '') return undefined
  // Answers say 1 and 0, which clients send back.
  if (given === 'OPEN' || given === 1 || given === '1') return true
  if (given === 'CLOSE' || given === 0 || given === '0') return false
  throw invalidValue('Enable', 'OPEN or CLOSE', given, 'InvalidParameterValue.Enable')
}

function requireRoom(draft: Draft, target: FunctionName, type: TriggerType): void {
  const others = triggersOf(draft, target).filter((trigger) => trigger.type === type)
  if (others.length >= MAX_TRIGGERS_PER_TYPE)
    throw new ScfError(
      'LimitExceeded.Trigger',
      `a function may have ${MAX_TRIGGERS_PER_TYPE} triggers of one type at most`,
    )
}

/** Where a trigger is kept. */
export function triggerKeyOf({ account, namespace, name }: FunctionName, trigger: TriggerReference): string {
  return triggerKey(account, namespace, name, trigger.type, trigger.name)
}

/** What this API keeps with a trigger; empty for those that others made. */
export function ownTriggerExtras(trigger: TriggerRecord | undefined): {
  desc: string
  argument: string
  description: string
} {
  const own = trigger === undefined ? {} : extrasOf(trigger.extras, DIALECT)
  return {
    desc: textOf(own['desc']),
    argument: textOf(own['argument']),
    description: textOf(own['description']),
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
