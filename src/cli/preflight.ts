import { once } from 'node:events'
import { createServer } from 'node:net'
import type { ListenAddress } from '../config/listen-address.ts'
import type { Config } from '../config/schema.ts'
import { explainStart } from './start-errors.ts'

/**
 * Tries what most often stops a start, before anything is created: a start that fails here leaves nothing behind.
 *
 * @throws {ConfigError} an interpreter that is named cannot be used.
 * @throws {CommandFailed} the address cannot be listened on.
 */
export async function preflight(config: Config): Promise<void> {
  await tryInterpreters(config)
  try {
    await tryAddress(config.listen)
  } catch (error) {
    throw explainStart(error, config)
  }
}

/** @throws {ConfigError} an interpreter that the settings name cannot be used. */
export async function tryInterpreters(config: Config): Promise<void> {
  if (config.nodePath === undefined && config.pythonPath === undefined) return
  const { checkInterpreters } = await import('../main.ts')
  try {
    await checkInterpreters(config)
  } catch (error) {
    throw explainStart(error, config)
  }
}

/** @throws {CommandFailed} the data directory, or one for small files, lies where functions look. */
export async function tryPlaces(config: Config): Promise<void> {
  const { checkPlaces } = await import('../main.ts')
  try {
    checkPlaces(config)
  } catch (error) {
    throw explainStart(error, config)
  }
}

async function tryAddress({ host, port }: ListenAddress): Promise<void> {
  const probe = createServer().listen({ host, port })
  await once(probe, 'listening')
  probe.close()
  await once(probe, 'close')
}
