import type { Submission } from '../../async/tasks.ts'
import { findFunction } from '../../definitions/find-function.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import { aliasKey, qualifiedKey } from '../../engine/keys.ts'
import { LATEST } from '../../model/function.ts'
import type { InvokeTarget } from '../../model/invocation.ts'
import type { AsyncConfigRecord } from '../../store/definition-store.ts'
import type { Backoff } from '../../store/task-queue.ts'
import { deadLetterOf } from './dead-letters.ts'
import { settingOf } from './shown-settings.ts'

/** What holds where nothing is set, and its bounds. Source: the vendor's page; the bounds of the age are not published. */
export const DEFAULT_RETRIES = 2
export const MAX_RETRIES = 2
export const DEFAULT_AGE_S = 21_600
export const AGE_S = { min: 60, max: 21_600 } as const

/** Between two tries, seconds, whatever was the matter with the first. Source: the vendor's page on retries. */
export const RETRY_WAIT_S = 60
const WAITS: Backoff = { firstMs: RETRY_WAIT_S * 1000, longestMs: RETRY_WAIT_S * 1000 }

/** How every event came in. The vendor does not publish the words it uses. */
export const INVOKE_TYPE = 'API'

/** How an asynchronous call is treated. */
export type Treatment = Pick<Submission, 'policy' | 'keepsDetails' | 'destinations' | 'source'>

/**
 * How asynchronous calls of a function are treated through a version or an alias.
 *
 * @throws {import('../../model/errors.ts').EngineError} `caller/…-not-found`
 */
export function treatmentOf(definitions: Definitions, target: InvokeTarget): Treatment {
  const { account, namespace, name, qualifier } = target
  const record = findFunction(definitions, account, namespace, name, qualifier).value
  const { maxRetries, maxAgeMs } = retriesOf(definitions, target)
  const deadLetter = deadLetterOf(record)
  return {
    policy: { maxRetries, maxAgeMs, backoff: WAITS, refusals: { ...WAITS, forMs: maxAgeMs } },
    keepsDetails: settingOf(record, 'TraceEnable') === 'TRUE',
    source: INVOKE_TYPE,
    ...(deadLetter === undefined ? {} : { destinations: { onFailure: deadLetter } }),
  }
}

/** How a call is treated whose function is not there: it ends as such a one. */
export const UNTREATED: Treatment = {
  policy: { maxRetries: 0, maxAgeMs: DEFAULT_AGE_S * 1000 },
  source: INVOKE_TYPE,
}

/**
 * Repeats and longest age through a version or an alias: each as it is set for that, else for the main version of the alias, else for
 * the function.
 */
export function retriesOf(
  definitions: Definitions,
  { account, namespace, name, qualifier = LATEST }: InvokeTarget,
): { readonly maxRetries: number; readonly maxAgeMs: number } {
  const alias = definitions.get('alias', aliasKey(account, namespace, qualifier, name))?.value
  const settings = [qualifier, alias?.version ?? LATEST, LATEST].map(
    (through): AsyncConfigRecord | undefined =>
      definitions.get('asyncConfig', qualifiedKey(account, namespace, name, through))?.value,
  )
  const first = (member: 'maxRetries' | 'maxAgeMs'): number | undefined =>
    settings.find((one) => one?.[member] !== undefined)?.[member]
  return {
    maxRetries: first('maxRetries') ?? DEFAULT_RETRIES,
    maxAgeMs: first('maxAgeMs') ?? DEFAULT_AGE_S * 1000,
  }
}
