import { extrasOf } from '../extras.ts'
import type { AsyncConfigRecord } from '../../store/definition-store.ts'
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
