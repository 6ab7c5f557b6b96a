import type { Submission } from '../../async/tasks.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import { qualifiedKey } from '../../engine/keys.ts'
import { LATEST } from '../../model/function.ts'
import type { InvokeTarget } from '../../model/invocation.ts'
import { isJsonObject } from '../../model/json.ts'
import type { AsyncConfigRecord } from '../../store/definition-store.ts'
import type { Destination, Destinations } from '../../store/outbox.ts'
import { targetOf } from './destinations.ts'
import { DIALECT, ownExtras } from './own-extras.ts'

/** What an asynchronous call gets when its configuration does not say. Source: the vendor's async configuration page. */
const DEFAULT_MAX_RETRIES = 3
const DEFAULT_MAX_AGE_MS = 86_400_000

/** The `source` of calls that are tasks here: others have no state that this API shows. */
export const TASK_SOURCE = 'stateful'

/** Destinations as the API shows them. */
export interface ShownDestinations {
  readonly onSuccess?: { readonly destination: string }
  readonly onFailure?: { readonly destination: string }
}

/** What a configuration says of asynchronous calls. */
interface AsyncSettings {
  readonly policy: Submission['policy']
  /** Whether calls are tasks. */
  readonly isStateful: boolean
  readonly destinations?: Destinations
}

/** The settings of the qualifier that a call names; one without a configuration has the defaults, not those of `LATEST`. */
export function asyncSettingsOf(
  definitions: Definitions,
  { account, namespace, name, qualifier = LATEST }: InvokeTarget,
): AsyncSettings {
  const key = qualifiedKey(account, namespace, name, qualifier)
  const config = definitions.get('asyncConfig', key)?.value
  const destinations = destinationsOf(config, account)
  return {
    policy: {
      maxRetries: config?.maxRetries ?? DEFAULT_MAX_RETRIES,
      maxAgeMs: config?.maxAgeMs ?? DEFAULT_MAX_AGE_MS,
    },
    isStateful: ownExtras(config)['statefulInvocation'] === true,
    ...(destinations === undefined ? {} : { destinations }),
  }
}

/** Of calls that are tasks the whole is kept: the API shows it. */
export function taskMembers(isTask: boolean): Pick<Submission, 'keepsDetails' | 'source'> {
  return isTask ? { keepsDetails: true, source: TASK_SOURCE } : {}
}

/** Destinations as they were put. */
export function shownDestinationsOf(config: AsyncConfigRecord | undefined): ShownDestinations {
  const stored = ownExtras(config)['destinationConfig']
  return isJsonObject(stored) ? stored : {}
}

function destinationsOf(config: AsyncConfigRecord | undefined, account: string): Destinations | undefined {
  const shown = shownDestinationsOf(config)
  const onSuccess = destinationOf(shown.onSuccess?.destination, account)
  const onFailure = destinationOf(shown.onFailure?.destination, account)
  if (onSuccess === undefined && onFailure === undefined) return undefined
  return {
    ...(onSuccess === undefined ? {} : { onSuccess }),
    ...(onFailure === undefined ? {} : { onFailure }),
  }
}

/** What was stored before it was checked is told of as out of reach, not dropped. */
function destinationOf(destination: string | undefined, account: string): Destination | undefined {
  if (destination === undefined || destination === '') return undefined
  const target = targetOf(destination, account) ?? { kind: 'unreachable', name: destination }
  return { dialect: DIALECT, target }
}
