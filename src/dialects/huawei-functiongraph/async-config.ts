import { settingMembers } from '../../definitions/settings.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import { qualifiedKey } from '../../engine/keys.ts'
import { extrasOf, withExtras } from '../extras.ts'
import type { AsyncConfigRecord, Extras, FunctionRecord, Stored } from '../../store/definition-store.ts'
import { asyncSettingsBody } from './async-settings.ts'
import { readDestinations } from './destinations.ts'
import { FssError } from './errors.ts'
import { booleanField, integerField, stringField } from './fields.ts'
import { DIALECT, type Call, type JsonObject, type Operation } from './operation.ts'
import { CONFIG_PAGES, pageInfo, pageOf } from './paging.ts'
import { requireAt, requireHead, urnOf } from './target.ts'
import { formatUrn } from './urn.ts'

/** Sources: the vendor's UpdateFunctionAsyncInvokeConfig page, and its user guide for the second. */
const AGE_S = { min: 1, max: 86_400 }
const RETRIES = { min: 0, max: 3 }

const LOG_MEMBERS = ['log_group_id', 'log_stream_id', 'log_group_name', 'log_stream_name'] as const

/**
 * PUT F/U/async-invoke-config: all settings at once; what is left out gets its default. They belong to a version; an alias has
 * none of its own and stands for the version it leads to.
 *
 * @throws {FssError} `FSS.0400`
 */
export const updateFunctionAsyncInvokeConfig: Operation = async (call, { catalogue, now }) => {
  const { body } = call
  const maxAgeS = integerField(body, 'max_async_event_age_in_seconds', AGE_S)
  const maxRetries = integerField(body, 'max_async_retry_attempts', RETRIES)
  const own = readOwn(call)
  const record = await catalogue.change((draft) => {
    const target = requireAt(draft, call.accountId, urnOf(call)).value
    const key = keyOf(target)
    const before = draft.get('asyncConfig', key)?.value
    return draft.put('asyncConfig', key, {
      ...settingMembers(draft, 'asyncConfig', target, target.version, now()),
      ...(maxRetries !== undefined && { maxRetries }),
      ...(maxAgeS !== undefined && { maxAgeMs: maxAgeS * 1000 }),
      extras: withExtras(before?.extras ?? {}, DIALECT, own),
    })
  })
  return { status: 200, body: configBody(call, record.value) }
}

/** GET F/U/async-invoke-config @throws {FssError} `FSS.0404`: nothing was set */
export const showFunctionAsyncInvokeConfig: Operation = (call, { catalogue }) => ({
  status: 200,
  body: configBody(call, requireConfig(catalogue, call).value),
})

/** DELETE F/U/async-invoke-config @throws {FssError} `FSS.0404`: nothing was set */
export const deleteFunctionAsyncInvokeConfig: Operation = async (call, { catalogue }) => {
  await catalogue.change((draft) => draft.delete('asyncConfig', requireConfig(draft, call).key))
  return { status: 204 }
}

/** GET F/U/async-invoke-configs: those of all versions of the function. */
export const listFunctionAsyncInvokeConfig: Operation = (call, { catalogue }) => {
  const { account, namespace, name } = requireHead(catalogue, call.accountId, urnOf(call)).value
  const configs = catalogue.list('asyncConfig', qualifiedKey(account, namespace, name, ''))
  const page = pageOf(call.query, configs, CONFIG_PAGES)
  return {
    status: 200,
    body: {
      async_invoke_configs: page.items.map(({ value }) => configBody(call, value)),
      ...pageInfo(page),
    },
  }
}

function keyOf({ account, namespace, name, version }: FunctionRecord): string {
  return qualifiedKey(account, namespace, name, version)
}

function requireConfig(definitions: Definitions, call: Call): Stored<'asyncConfig'> {
  const target = requireAt(definitions, call.accountId, urnOf(call)).value
  const config = definitions.get('asyncConfig', keyOf(target))
  if (config === undefined)
    throw new FssError('FSS.0404', 'not found the asynchronous invocation configuration')
  return config
}

function configBody(call: Call, config: AsyncConfigRecord): JsonObject {
  const own = extrasOf(config.extras, DIALECT)
  return {
    func_urn: formatUrn(call, { namespace: config.namespace, name: config.functionName }, config.qualifier),
    ...asyncSettingsBody(config),
    ...Object.fromEntries(LOG_MEMBERS.map((name) => [name, own[name]])),
  }
}

function readOwn(call: Call): Extras {
  const { body } = call
  const own: Record<string, unknown> = {
    destination_config: readDestinations(body, call),
    enable_async_status_log: booleanField(body, 'enable_async_status_log') ?? false,
  }
  for (const name of LOG_MEMBERS) {
    const text = stringField(body, name, { max: 128 })
    if (text !== undefined) own[name] = text
  }
  return own
}
