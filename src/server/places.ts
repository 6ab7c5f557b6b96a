import type { Config } from '../config/schema.ts'
import { examineHost, type HostFinding } from '../sandbox/host-examination.ts'
import { requireNamedInterpreters, type DiscoverySettings } from '../sandbox/interpreters.ts'
import { hiddenPlaces, requireHidden } from '../sandbox/shown-trees.ts'

/**
 * Looks at what the settings name outside the data directory, and changes nothing.
 *
 * @throws {InterpreterUnusable} an interpreter that is named cannot be used.
 */
export async function checkInterpreters(config: Config): Promise<void> {
  await requireNamedInterpreters(discoverySettingsOf(config))
}

/**
 * Looks at where the server would keep its files, and changes nothing.
 *
 * @throws {ShownToFunctions} it lies where functions look. Not where the settings choose no isolation.
 */
export function checkPlaces({ sandbox, dataDir }: Pick<Config, 'sandbox' | 'dataDir'>): void {
  if (sandbox !== 'process') requireHidden(dataDir)
}

/** Looks at everything of this host that functions run on, by trying it; leaves nothing behind. */
export async function examineHostFor(config: Config): Promise<readonly HostFinding[]> {
  return await examineHost(discoverySettingsOf(config))
}

/** Which interpreters are looked for, and what none of them may show to functions. */
export function discoverySettingsOf({ nodePath, pythonPath, sandbox, dataDir }: Config): DiscoverySettings {
  return { nodePath, pythonPath, ...(sandbox !== 'process' && { hidden: hiddenPlaces(dataDir) }) }
}
