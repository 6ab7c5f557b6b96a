import type { Config } from '../config/schema.ts'
import type { Catalogue } from '../engine/catalogue.ts'
import { qualifiedKey } from '../engine/keys.ts'
import type { PoolLimits } from '../engine/pool-setup.ts'

/** An instance that is older takes no more calls. */
export const MAX_INSTANCE_AGE_MS = 24 * 3_600_000

/** What bounds the instances: the settings of the server, and the caps in the catalogue as they are at each look. */
export function poolLimitsOf(config: Config, catalogue: Pick<Catalogue, 'get'>): PoolLimits {
  return {
    maxInstances: config.maxInstances,
    maxInstancesPerFunction: config.maxInstancesPerFunction,
    maxInstanceAgeMs: MAX_INSTANCE_AGE_MS,
    // The cap set for a version holds for its instances; one set for an alias holds for none.
    maxInstancesOf: ({ account, namespace, name, version }) =>
      catalogue.get('scaling', qualifiedKey(account, namespace, name, version))?.value.maxInstances,
    maxConcurrentStarts: config.maxConcurrentStarts,
    memoryBudgetMib: config.memoryBudgetMib,
    idleTimeoutMs: config.idleTimeoutSeconds * 1000,
    ...(config.freezeAfterMs === 0 ? {} : { freezeAfterMs: config.freezeAfterMs }),
    queueTimeoutMs: config.queueTimeoutSeconds * 1000,
  }
}
