import { findFunction } from '../../definitions/find-function.ts'
import { settingMembers } from '../../definitions/settings.ts'
import { qualifiedKey } from '../../engine/keys.ts'
import type { AsyncConfigRecord, Stored } from '../../store/definition-store.ts'
import { shownDestinationsOf, type ShownDestinations } from './async-settings.ts'
import { DESTINATION_CHARS, targetOf } from './destinations.ts'
import { FcError } from './errors.ts'
import { booleanField, integerField, invalidValue, objectField, stringField } from './fields.ts'
import { etagOf, formatTime } from './names.ts'
import type { Answer, JsonObject, Operation } from './operation.ts'
import { ownExtras, withOwnExtras } from './own-extras.ts'
import { page } from './paging.ts'
import { requireMatch } from './precondition.ts'
import { namedBy, qualifiedFunctionOf, type QualifiedFunction } from './target.ts'

/** Repeats after a failed run. Source: the vendor's PutFunctionAsyncInvokeConfig page. */
const RETRIES = { min: 0, max: 8 }

/** Age of a waiting call, seconds: up to 7 days. Source: the same page. */
const AGE_SECONDS = { min: 1, max: 604_800 }

/** @throws {FcError} AsyncConfigNotExists */
export const getFunctionAsyncInvokeConfig: Operation = (call, { catalogue }) => {
  const target = qualifiedFunctionOf(call)
  const config = catalogue.get('asyncConfig', keyOf(target))
  if (config !== undefined) return configAnswer(config)
  findFunction(catalogue, target.account, target.service, target.name, target.qualifier)
  throw notFound(target)
}

/** Sets the members that were sent and leaves the others as they are. Whether a destination exists is not asked. */
export const putFunctionAsyncInvokeConfig: Operation = async (call, { catalogue, now }) => {
  const target = qualifiedFunctionOf(call)
  const maxRetries = integerField(call.body, 'maxAsyncRetryAttempts', RETRIES)
  const maxAgeSeconds = integerField(call.body, 'maxAsyncEventAgeInSeconds', AGE_SECONDS)
  const stateful = booleanField(call.body, 'statefulInvocation')
  const destinations = destinationsField(call.body, target.account)
  const stored = await catalogue.change((draft) => {
    findFunction(draft, target.account, target.service, target.name, target.qualifier)
    const before = draft.get('asyncConfig', keyOf(target))
    if (before !== undefined) requireMatch(call, before)
    return draft.put('asyncConfig', keyOf(target), {
      ...before?.value,
      ...settingMembers(draft, 'asyncConfig', namedBy(target), target.qualifier, now()),
      ...(maxRetries !== undefined && { maxRetries }),
      ...(maxAgeSeconds !== undefined && { maxAgeMs: maxAgeSeconds * 1000 }),
      extras: withOwnExtras(before?.value, {
        ...ownExtras(before?.value),
        ...(stateful !== undefined && { statefulInvocation: stateful }),
        destinationConfig: destinations(shownDestinationsOf(before?.value)),
      }),
    })
  })
  return configAnswer(stored)
}

/** @throws {FcError} AsyncConfigNotExists */
export const deleteFunctionAsyncInvokeConfig: Operation = async (call, { catalogue }) => {
  const target = qualifiedFunctionOf(call)
  await catalogue.change((draft) => {
    const config = draft.get('asyncConfig', keyOf(target))
    if (config === undefined) {
      findFunction(draft, target.account, target.service, target.name, target.qualifier)
      throw notFound(target)
    }
    requireMatch(call, config)
    draft.delete('asyncConfig', config.key)
  })
  return { status: 204 }
}

/**
 * The configurations of one function in the order of their qualifiers. As the vendor's suites measured it, the last
 * page has an empty `nextToken` and an empty list has no `configs`.
 */
export const listFunctionAsyncInvokeConfigs: Operation = (call, { catalogue }) => {
  const target = qualifiedFunctionOf(call)
  const configs = catalogue.list('asyncConfig', keyOf({ ...target, qualifier: '' }))
  if (configs.length === 0) findFunction(catalogue, target.account, target.service, target.name)
  const { items, nextToken } = page(call.query, configs, ({ value }) => value.qualifier)
  return {
    status: 200,
    body: {
      ...(items.length > 0 && { configs: items.map(({ value }) => configBody(value)) }),
      nextToken: nextToken ?? '',
    },
  }
}

function keyOf({ account, service, name, qualifier }: QualifiedFunction): string {
  return qualifiedKey(account, service, name, qualifier)
}

function notFound({ service, name, qualifier }: QualifiedFunction): FcError {
  return new FcError(
    'AsyncConfigNotExists',
    `async config of function '${name}' in service '${service}' with qualifier '${qualifier}' does not exist`,
  )
}

/** Reads what was sent now, to be laid over what is there later. An empty object clears; so does an empty text. */
function destinationsField(
  body: JsonObject,
  account: string,
): (before: ShownDestinations) => ShownDestinations {
  const given = objectField(body, 'destinationConfig')
  if (given === undefined) return (before) => before
  if (Object.keys(given).length === 0) return () => ({})
  const onSuccess = destinationField(given, 'onSuccess', account)
  const onFailure = destinationField(given, 'onFailure', account)
  return (before) => ({
    ...member('onSuccess', onSuccess ?? before.onSuccess?.destination),
    ...member('onFailure', onFailure ?? before.onFailure?.destination),
  })
}

/** @returns `undefined` when not sent, an empty text when it is to be cleared. */
function destinationField(
  config: JsonObject,
  name: keyof ShownDestinations,
  account: string,
): string | undefined {
  const given = objectField(config, name)
  if (given === undefined) return undefined
  const destination = stringField(given, 'destination', { max: DESTINATION_CHARS }) ?? ''
  if (destination !== '' && targetOf(destination, account) === undefined)
    throw invalidValue(
      `${name}.destination`,
      'the ARN of a queue, topic, function or event bus, or an HTTP(S) address without credentials',
      destination,
    )
  return destination
}

function member(name: keyof ShownDestinations, destination: string | undefined): ShownDestinations {
  return destination === undefined || destination === '' ? {} : { [name]: { destination } }
}

function configAnswer(config: Stored<'asyncConfig'>): Answer {
  return { status: 200, body: configBody(config.value), headers: { ETag: etagOf(config) } }
}

/** Numbers that were never set are absent: no default is filled in. */
function configBody(config: AsyncConfigRecord): Record<string, unknown> {
  return {
    service: config.namespace,
    function: config.functionName,
    qualifier: config.qualifier,
    createdTime: formatTime(config.createdAtMs),
    lastModifiedTime: formatTime(config.modifiedAtMs),
    destinationConfig: shownDestinationsOf(config),
    statefulInvocation: ownExtras(config)['statefulInvocation'] ?? false,
    ...(config.maxAgeMs !== undefined && { maxAsyncEventAgeInSeconds: Math.floor(config.maxAgeMs / 1000) }),
    ...(config.maxRetries !== undefined && { maxAsyncRetryAttempts: config.maxRetries }),
  }
}
