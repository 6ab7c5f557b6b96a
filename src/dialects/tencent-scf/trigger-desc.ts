import { isJsonObject, parsedJson } from '../../model/json.ts'
import { cronFault } from './cron.ts'
import { ScfError } from './errors.ts'
import type { JsonObject } from './operation.ts'

/** Longest description of a trigger, characters. The vendor publishes no number. */
export const MAX_TRIGGER_DESC_CHARS = 4096

/** Kinds whose description is a JSON object; those of other kinds are texts that are kept as they are. */
const JSON_TYPES = new Set(['apigw', 'http', 'cos', 'ckafka', 'cmq'])

/**
 * The form in which a trigger's description is kept and answered, as the vendor's tools compare it with what they sent: a
 * timer's `{"cron":"…"}` with the text unchanged, a bucket's with the bucket in front, JSON without blanks.
 *
 * @param text As sent.
 * @throws {ScfError} `InvalidParameterValue.TriggerDesc`
 */
export function canonicalDesc(type: string, triggerName: string, text: string): string {
  if (type === 'timer') return JSON.stringify({ cron: cronOf(text) })
  const given = parsed(text)
  if (!JSON_TYPES.has(type)) return given === undefined ? text : JSON.stringify(given)
  if (text.trim() === '') return '{}'
  if (given === undefined)
    throw invalid(`TriggerDesc of a trigger of type ${type} is the text of a JSON object`)
  if (type !== 'cos') return JSON.stringify(given)
  const { bucketUrl: _, ...rest } = given
  if (typeof rest['event'] !== 'string' || rest['event'] === '')
    throw invalid('TriggerDesc of a trigger of type cos names an event such as cos:ObjectCreated:*')
  return JSON.stringify({ bucketUrl: triggerName, ...rest })
}

/** The cron text of a timer, which clients send bare or as `{"cron":"…"}`. */
function cronOf(text: string): string {
  const given = parsed(text)
  const cron = given === undefined ? text : given['cron']
  if (typeof cron !== 'string') throw invalid('TriggerDesc of a timer is a cron expression, or {"cron":"…"}')
  const fault = cronFault(cron)
  if (fault !== undefined) throw invalid(fault)
  return cron
}

function parsed(text: string): JsonObject | undefined {
  const value = parsedJson(text)
  return isJsonObject(value) ? value : undefined
}

function invalid(message: string): ScfError {
  return new ScfError('InvalidParameterValue.TriggerDesc', message)
}
