import { isTimeZone } from '../../intake/cron-field.ts'
import { FcError } from './errors.ts'
import {
  enumField,
  integerField,
  invalidValue,
  numberField,
  objectListField,
  required,
  stringField,
} from './fields.ts'
import type { JsonObject } from './operation.ts'
import { isScheduleExpression, isUtcTime, isZonedTime } from './schedule.ts'

/** Instances to keep ready. Source: the vendor's limits page. */
export const PROVISION_TARGET = { min: 0, max: 10_000 }

/** Entries of each list. Source: the vendor's own message for more. */
const MAX_ENTRIES = 100
const NAME_CHARS = 128

const METRICS = ['ProvisionedConcurrencyUtilization', 'CPUUtilization', 'GPUMemUtilization'] as const

/** A change of the target at certain times. */
interface ScheduledAction {
  readonly name: string
  readonly startTime: string
  readonly endTime: string
  readonly target: number
  readonly scheduleExpression: string
  readonly timeZone?: string
}

/** A target that follows a metric between two bounds. */
export interface TargetTrackingPolicy {
  readonly name: string
  readonly startTime: string
  readonly endTime: string
  readonly metricType: (typeof METRICS)[number]
  readonly metricTarget: number
  readonly minCapacity: number
  readonly maxCapacity: number
  readonly timeZone?: string
}

/** @throws {FcError} InvalidArgument, in the vendor's words */
export function scheduledActionsField(body: JsonObject): readonly ScheduledAction[] | undefined {
  const entries = objectListField(body, 'scheduledActions', MAX_ENTRIES)
  if (entries === undefined) return undefined
  requireUniqueNames(entries, 'action', 'ScheduledActions')
  return entries.map((entry) => {
    const window = windowOf(entry)
    const scheduleExpression = stringField(entry, 'scheduleExpression') ?? ''
    if (!isScheduleExpression(scheduleExpression, timeTest(window.timeZone)))
      throw new FcError(
        'InvalidArgument',
        'The ScheduleExpression should be atTime or cron expression ' +
          `(example: ['at(2020-10-10T10:10:10Z)', 'cron(0 */30 * * * *)'], actual: '${scheduleExpression}')`,
      )
    return {
      name: nameOf(entry),
      ...window,
      target: required(integerField(entry, 'target', PROVISION_TARGET), 'target'),
      scheduleExpression,
    }
  })
}

/** @throws {FcError} InvalidArgument */
export function targetTrackingPoliciesField(body: JsonObject): readonly TargetTrackingPolicy[] | undefined {
  const entries = objectListField(body, 'targetTrackingPolicies', MAX_ENTRIES)
  if (entries === undefined) return undefined
  requireUniqueNames(entries, 'policy', 'TargetTrackingPolicies')
  return entries.map((entry) => {
    const minCapacity = required(integerField(entry, 'minCapacity', PROVISION_TARGET), 'minCapacity')
    const maxCapacity = required(integerField(entry, 'maxCapacity', PROVISION_TARGET), 'maxCapacity')
    if (maxCapacity < minCapacity)
      throw invalidValue('maxCapacity', `${minCapacity} - ${PROVISION_TARGET.max}`, maxCapacity)
    return {
      name: nameOf(entry),
      ...windowOf(entry),
      metricType: required(enumField(entry, 'metricType', METRICS), 'metricType'),
      metricTarget: required(numberField(entry, 'metricTarget', { min: 0, max: 1 }), 'metricTarget'),
      minCapacity,
      maxCapacity,
    }
  })
}

function requireUniqueNames(entries: readonly JsonObject[], kind: string, list: string): void {
  const seen = new Set<string>()
  for (const entry of entries) {
    const name = nameOf(entry)
    if (seen.has(name))
      throw new FcError('InvalidArgument', `Duplicate ${kind} name '${name}' in ${list} is not allowed`)
    seen.add(name)
  }
}

function nameOf(entry: JsonObject): string {
  return required(stringField(entry, 'name', { min: 1, max: NAME_CHARS }), 'name')
}

/** When an entry is in force. Times are UTC unless the entry names a zone of its own. */
function windowOf(entry: JsonObject): Pick<ScheduledAction, 'startTime' | 'endTime' | 'timeZone'> {
  const timeZone = stringField(entry, 'timeZone', { max: 64 }) || undefined
  if (timeZone !== undefined && !isTimeZone(timeZone))
    throw invalidValue('timeZone', 'a time zone name', timeZone)
  const startTime = timeField(entry, 'StartTime', timeZone)
  const endTime = timeField(entry, 'EndTime', timeZone)
  if (bare(endTime) < bare(startTime)) throw invalidValue('endTime', `a time after ${startTime}`, endTime)
  return { startTime, endTime, ...(timeZone !== undefined && { timeZone }) }
}

function timeField(entry: JsonObject, name: string, timeZone: string | undefined): string {
  const text = stringField(entry, name) ?? ''
  if (timeTest(timeZone)(text)) return text
  throw new FcError(
    'InvalidArgument',
    `The ${name} is not in UTC time format (example: '2020-10-10T10:10:10Z', actual: '${text}')`,
  )
}

const timeTest = (timeZone: string | undefined): ((text: string) => boolean) =>
  timeZone === undefined ? isUtcTime : isZonedTime

const bare = (time: string): string => time.slice(0, 19)
