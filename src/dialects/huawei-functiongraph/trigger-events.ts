import { isJsonObject } from '../../model/json.ts'
import { FssError, type FssCode } from './errors.ts'
import {
  booleanField,
  enumField,
  field,
  integerField,
  invalidValue,
  required,
  stringField,
} from './fields.ts'
import type { JsonObject } from './operation.ts'
import { requireBounded } from './shapes.ts'
import { isCron, isRate } from './timer-schedule.ts'
import { TRIGGER_TYPES } from './trigger-types.ts'

const TIMER_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/
/** Longest event data as JSON, characters. The vendor publishes no number. */
const MAX_DATA_CHARS = 16 * 1024
const USER_EVENT_CHARS = 2048

/** Longest wait of a gateway for a function, milliseconds. Source: the vendor's CreateFunctionTrigger page. */
const GATEWAY_TIMEOUT_MS = { min: 1, max: 60_000 }

/**
 * Types that documented members have, whatever the trigger: clients in typed languages cannot read a list with another.
 * Source: the vendor's SDK.
 */
const INTEGERS = ['type', 'batch_size', 'polling_interval', 'max_fetch_bytes'] as const
const BOOLEANS = ['kafka_ssl_enable', 'ssl_enable', 'Key_encode'] as const
const LISTS = ['operations', 'events', 'topic_ids', 'instance_addrs', 'event_types'] as const
const TEXTS = [
  ...[
    'name',
    'schedule_type',
    'schedule',
    'path',
    'protocol',
    'req_method',
    'group_id',
    'group_name',
    'match_mode',
  ],
  ...['env_name', 'env_id', 'auth', 'sl_domain', 'backend_type', 'instance_id', 'collection_name', 'db_name'],
  ...['db_user', 'db_password', 'mode', 'queue_id', 'consumer_group_id', 'stream_name', 'sharditerator_type'],
  ...[
    'polling_unit',
    'log_group_id',
    'log_topic_id',
    'bucket',
    'prefix',
    'suffix',
    'topic_urn',
    'kafka_user',
  ],
  ...['kafka_password', 'kafka_connect_address', 'access_user', 'access_password', 'connect_address'],
  ...[
    'exchange_name',
    'vhost',
    'agency',
    'channel_name',
    'channel_id',
    'source_name',
    'trigger_name',
    'status',
  ],
]

/**
 * The event data of a trigger after a request. Members this API documents are of their types, others are kept as they are.
 *
 * @param before What it was: members that are not given stay. Absent: the trigger is being made.
 * @throws {FssError} with the code of the trigger's type
 */
export function readEventData(type: string, given: unknown, before: JsonObject = {}): JsonObject {
  const code = TRIGGER_TYPES.get(type)?.invalid ?? 'FSS.1101'
  requireBounded('event_data', given, code)
  const data = { ...before, ...mergedData(given, code) }
  if (JSON.stringify(data).length > MAX_DATA_CHARS)
    throw new FssError(code, `event_data exceeds ${MAX_DATA_CHARS} characters`)
  requireTypes(data, code)
  if (type === 'TIMER') return timerData(data, code)
  if (type === 'APIG' || type === 'DEDICATEDGATEWAY') requireGateway(data, code)
  return data
}

/** Newer clients send an object, the vendor's own a list of them. */
function mergedData(given: unknown, code: FssCode): JsonObject {
  const parts = Array.isArray(given) ? (given as readonly unknown[]) : [given ?? {}]
  const merged: Record<string, unknown> = {}
  for (const part of parts) {
    if (!isJsonObject(part)) throw invalidValue('event_data', 'an object', part, code)
    for (const [name, value] of Object.entries(part)) {
      if (value === null) continue
      // Written as a truth value by updates, and a text everywhere else.
      const shown = name === 'is_serial' && typeof value === 'boolean' ? String(value) : value
      Object.defineProperty(merged, name, {
        value: shown,
        enumerable: true,
        configurable: true,
        writable: true,
      })
    }
  }
  return merged
}

function requireTypes(data: JsonObject, code: FssCode): void {
  for (const name of TEXTS) stringField(data, name, { code })
  for (const name of INTEGERS) {
    const value = field(data, name)
    if (value !== undefined && !Number.isSafeInteger(value))
      throw invalidValue(name, 'a whole number', value, code)
  }
  for (const name of BOOLEANS) {
    const value = field(data, name)
    if (value !== undefined && typeof value !== 'boolean')
      throw invalidValue(name, 'true | false', value, code)
  }
  for (const name of LISTS) {
    const value = field(data, name)
    if (value === undefined) continue
    if (!Array.isArray(value) || !value.every((entry) => typeof entry === 'string'))
      throw invalidValue(name, 'a list of strings', value, code)
  }
}

function timerData(data: JsonObject, code: FssCode): JsonObject {
  required(stringField(data, 'name', { pattern: TIMER_NAME, code }), 'name', code)
  const kind = required(enumField(data, 'schedule_type', ['Rate', 'Cron'], code), 'schedule_type', code)
  const schedule = required(stringField(data, 'schedule', { code }), 'schedule', code)
  if (!(kind === 'Rate' ? isRate(schedule) : isCron(schedule)))
    throw invalidValue(
      'schedule',
      kind === 'Rate' ? '1m - 60m, 1h - 24h, 1d - 30d' : 'a cron expression',
      schedule,
      code,
    )
  stringField(data, 'user_event', { max: USER_EVENT_CHARS, code })
  const isSync = booleanField(data, 'sync_execution', code)
  return isSync === undefined ? data : { ...data, sync_execution: isSync }
}

function requireGateway(data: JsonObject, code: FssCode): void {
  enumField(data, 'protocol', ['HTTP', 'HTTPS'], code)
  enumField(data, 'req_method', ['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'PATCH', 'OPTIONS', 'ANY'], code)
  enumField(data, 'match_mode', ['SWA', 'NORMAL'], code)
  enumField(data, 'auth', ['IAM', 'APP', 'NONE'], code)
  const info = field(data, 'func_info')
  if (info === undefined) return
  if (!isJsonObject(info)) throw new FssError(code, 'invalid parameter func_info: it must be an object')
  integerField(info, 'timeout', { ...GATEWAY_TIMEOUT_MS, code })
}
