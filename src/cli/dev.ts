import { ConfigError } from '../config/config-error.ts'
import { DEV_KEY, keepCredentials } from '../config/credentials.ts'
import { formatListenAddress, isLoopback } from '../config/listen-address.ts'
import { DEFAULT_ORIGIN, loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { makeEphemeralDir } from '../main.ts'
import { renderBanner } from './banner.ts'
import { checkDataPlace } from './data-place.ts'
import { preflight } from './preflight.ts'
import { runServer } from './run-server.ts'
import type { SettingFlags } from './setting-flags.ts'

/**
 * `anvoke dev`: the same server for this machine alone, with a key that everybody knows unless one is set, and with
 * data that is removed at exit unless a data directory is set; what one that was killed left is removed, too.
 *
 * @throws {ConfigError} settings that cannot be used, an address that others can reach among them.
 * @throws {CommandFailed} the server cannot start.
 */
export async function dev({ flags, configFile }: SettingFlags): Promise<void> {
  const loaded = await loadConfig({ flags, file: configFile, environment: process.env, cwd: process.cwd() })
  refuseOpenAddress(loaded.config)
  await preflight(loaded.config)
  const isEphemeral = loaded.origins.get('dataDir') === DEFAULT_ORIGIN
  if (!isEphemeral) checkDataPlace(loaded.config.dataDir)
  const config = isEphemeral
    ? Object.freeze({ ...loaded.config, dataDir: makeEphemeralDir() })
    : loaded.config
  const given = loaded.credentials.accessKeyId === undefined ? DEV_KEY : loaded.credentials
  const isWellKnown = given.accessKeySecret === DEV_KEY.accessKeySecret
  const { credentials } = keepCredentials(config.dataDir, given)
  await runServer(config, credentials, (server) =>
    renderBanner({
      mode: 'dev',
      server,
      config,
      data: isEphemeral ? 'ephemeral, removed at exit (after kill -9: by the next start)' : config.dataDir,
      accessKey: isWellKnown
        ? `${credentials.accessKeyId} / ${DEV_KEY.accessKeySecret}`
        : credentials.accessKeyId,
    }),
  )
}

function refuseOpenAddress({ listen }: Config): void {
  if (isLoopback(listen.host)) return
  throw new ConfigError([
    {
      what: `anvoke dev does not listen on ${formatListenAddress(listen)}`,
      why: 'its key is well known, and others could reach that address',
      fix: 'use --listen 127.0.0.1:PORT, or `anvoke serve`',
    },
  ])
}
