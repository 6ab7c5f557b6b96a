import type { Submission } from '../../async/tasks.ts'
import { findFunction } from '../../definitions/find-function.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import { qualifiedKey } from '../../engine/keys.ts'
import type { InvokeTarget } from '../../model/invocation.ts'
import { extrasOf } from '../extras.ts'
import type { AsyncConfigRecord } from '../../store/definition-store.ts'
import { destinationsOf } from './destinations.ts'
import { formatTime } from './names.ts'
import { DIALECT, type JsonObject } from './operation.ts'

/** What holds where nothing was set. Source: the vendor's user guide on asynchronous invocation. */
export const ASYNC_DEFAULTS = { maxAgeS: 3600, maxRetries: 1 } as const

/** How asynchronous calls are treated, as answers show it. */
export function asyncSettingsBody(config: AsyncConfigRecord): JsonObject {
  const own = extrasOf(config.extras, DIALECT)
  return {
    max_async_event_age_in_seconds:
      config.maxAgeMs === undefined ? ASYNC_DEFAULTS.maxAgeS : Math.floor(config.maxAgeMs / 1000),
    max_async_retry_attempts: config.maxRetries ?? ASYNC_DEFAULTS.maxRetries,
    destination_config: own['destination_config'] ?? {},
    created_time: formatTime(config.createdAtMs),
    last_modified: formatTime(config.modifiedAtMs),
    enable_async_status_log: own['enable_async_status_log'] ?? false,
  }
}

/** A part of what becomes a task. */
export type Treatment = Pick<Submission, 'policy' | 'destinations'>

/**
 * How an asynchronous call of a function is treated: by the configuration of the version its qualifier leads to; an alias has none
 * of its own. Without a configuration failures of the code are not repeated, and nobody is told.
 *
 * @throws {EngineError} `caller/…-not-found`
 */
export function treatmentOf(definitions: Definitions, target: InvokeTarget): Treatment {
  const { account, namespace, name, qualifier } = target
  const { version } = findFunction(definitions, account, namespace, name, qualifier).value
  const config = definitions.get('asyncConfig', qualifiedKey(account, namespace, name, version))?.value
  if (config === undefined) return { policy: { maxRetries: 0, maxAgeMs: ASYNC_DEFAULTS.maxAgeS * 1000 } }
  const destinations = destinationsOf(extrasOf(config.extras, DIALECT)['destination_config'], account)
  return {
    policy: {
      maxRetries: config.maxRetries ?? ASYNC_DEFAULTS.maxRetries,
      maxAgeMs: config.maxAgeMs ?? ASYNC_DEFAULTS.maxAgeS * 1000,
    },
    ...(destinations === undefined ? {} : { destinations }),
  }
}
