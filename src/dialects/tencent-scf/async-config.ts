import { settingMembers } from '../../definitions/settings.ts'
import { qualifiedKey } from '../../engine/keys.ts'
import { LATEST } from '../../model/function.ts'
import { isJsonObject } from '../../model/json.ts'
import { AGE_S, MAX_RETRIES, RETRY_WAIT_S, retriesOf } from './async-settings.ts'
import { ScfError } from './errors.ts'
import { field, integerField, objectField, objectListField, textListField } from './fields.ts'
import type { JsonObject, Operation } from './operation.ts'
import { qualifierOf, requireAt, targetOf } from './targets.ts'

/**
 * How asynchronous calls of a function are treated, through whichever version or alias; with `Qualifier`, which the vendor has for reading
 * alone, through that one. Absent members stay.
 */
export const updateFunctionEventInvokeConfig: Operation = async (call, { catalogue, now }) => {
  const target = targetOf(call)
  const code = 'InvalidParameterValue.AsyncTriggerConfig'
  const config = objectField(call.params, 'AsyncTriggerConfig', { required: true, code })
  const retries = readRetries(config)
  const age = { min: AGE_S.min, max: AGE_S.max, code: 'LimitExceeded.MsgTTL' as const }
  const ageS = integerField(config, 'MsgTTL', age)
  const qualifier = qualifierOf(call.params) ?? LATEST
  await catalogue.change((draft) => {
    requireAt(draft, target, qualifier)
    const key = qualifiedKey(target.account, target.namespace, target.name, qualifier)
    const before = draft.get('asyncConfig', key)?.value
    draft.put('asyncConfig', key, {
      ...before,
      ...settingMembers(draft, 'asyncConfig', target, qualifier, now()),
      ...(retries === undefined ? {} : { maxRetries: retries }),
      ...(ageS === undefined ? {} : { maxAgeMs: ageS * 1000 }),
      extras: before?.extras ?? {},
    })
  })
  return {}
}

/** The real service answers more than its model says: how it treats run errors, and then refusals for want of room. */
export const getFunctionEventInvokeConfig: Operation = (call, { catalogue }) => {
  const target = targetOf(call)
  const qualifier = qualifierOf(call.params) ?? LATEST
  requireAt(catalogue, target, qualifier)
  const { maxRetries, maxAgeMs } = retriesOf(catalogue, { ...target, qualifier })
  return {
    AsyncTriggerConfig: {
      MsgTTL: Math.ceil(maxAgeMs / 1000),
      RetryConfig: [
        retryBody('default', maxRetries),
        // Calls that found no room are repeated until they are too old.
        retryBody('432', -1),
      ],
    },
  }
}

function retryBody(errorCode: string, retries: number): JsonObject {
  return { ErrorCode: [errorCode], RetryNum: retries, RetryInterval: RETRY_WAIT_S }
}

/** Clients may send back what they were answered: of its entries the one for run errors counts. */
function readRetries(config: JsonObject): number | undefined {
  const code = 'InvalidParameterValue.AsyncTriggerConfig'
  const list = objectListField(config, 'RetryConfig', { max: 10, code })
  if (list === undefined) return undefined
  const entry = list.find((one) => isForRunErrors(one))
  if (entry === undefined) throw new ScfError(code, 'RetryConfig has no entry with RetryNum')
  return integerField(entry, 'RetryNum', { required: true, max: MAX_RETRIES, code: 'LimitExceeded.RetryNum' })
}

function isForRunErrors(entry: unknown): boolean {
  if (!isJsonObject(entry)) return false
  const code = 'InvalidParameterValue.AsyncTriggerConfig'
  if (field(entry, 'ErrorCode') === undefined) return true
  return (textListField(entry, 'ErrorCode', { max: 100, code }) ?? []).includes('default')
}
