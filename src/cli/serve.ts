import { ConfigError } from '../config/config-error.ts'
import { isDevKey, keepCredentials } from '../config/credentials.ts'
import { loadConfig } from '../config/load.ts'
import type { CredentialSettings } from '../config/schema.ts'
import { renderBanner } from './banner.ts'
import { checkDataPlace } from './data-place.ts'
import { preflight, tryPlaces } from './preflight.ts'
import { runServer } from './run-server.ts'
import type { SettingFlags } from './setting-flags.ts'

/**
 * `anvoke serve`: runs the server until a signal ends it.
 *
 * @throws {ConfigError} settings that cannot be used, the well-known key among them.
 * @throws {CommandFailed} the server cannot start.
 */
export async function serve({ flags, configFile }: SettingFlags): Promise<void> {
  const { config, credentials: given } = await loadConfig({
    flags,
    file: configFile,
    environment: process.env,
    cwd: process.cwd(),
  })
  refuseDevKey(given)
  await preflight(config)
  await tryPlaces(config)
  checkDataPlace(config.dataDir)
  const { credentials, keptIn } = keepCredentials(config.dataDir, given)
  await runServer(config, credentials, (server) =>
    renderBanner({
      mode: 'serve',
      server,
      config,
      data: config.dataDir,
      accessKey:
        keptIn === undefined
          ? `${credentials.accessKeyId} (secret as configured)`
          : `${credentials.accessKeyId} (secret in ${keptIn})`,
    }),
  )
}

/** @throws {ConfigError} the key is the one that everybody knows. */
export function refuseDevKey(credentials: CredentialSettings): void {
  if (!isDevKey(credentials)) return
  throw new ConfigError([
    {
      what: 'the root key is the well-known one of `anvoke dev`',
      why: 'whoever can reach the server could do everything with it',
      fix: 'set another ANVOKE_ACCESS_KEY_ID and ANVOKE_ACCESS_KEY_SECRET, or none to have them made',
    },
  ])
}
