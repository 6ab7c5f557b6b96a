import { ConfigError } from '../config/config-error.ts'
import { formatListenAddress } from '../config/listen-address.ts'
import { DEFAULT_ORIGIN, loadConfig, type LoadedConfig } from '../config/load.ts'
import { isCredentialKey, settingDocs, settingKeys, type SettingKey } from '../config/schema.ts'
import { EXIT } from './complaint.ts'
import { checkDataPlace } from './data-place.ts'
import { tryInterpreters } from './preflight.ts'
import { refuseDevKey } from './serve.ts'
import type { SettingFlags } from './setting-flags.ts'

/** `anvoke config print`: every setting with its origin, as a file that could be used, or as JSON. */
export async function printConfig({ flags, configFile }: SettingFlags, json: boolean): Promise<void> {
  const loaded = await load({ flags, configFile })
  const rows = settingKeys.map((key) => {
    const origin = loaded.origins.get(key) ?? DEFAULT_ORIGIN
    return { key, origin, value: shownValue(loaded, key), why: settingDocs[key].why }
  })
  if (json) {
    const settings = Object.fromEntries(rows.map(({ key, value, origin }) => [key, { value, origin }]))
    process.stdout.write(`${JSON.stringify({ file: loaded.file ?? null, settings }, null, 2)}\n`)
    return
  }
  const lines = rows.map(({ key, value, origin, why }) => {
    const line =
      value === null || isCredentialKey(key)
        ? `# ${key}: ${value ?? ''}`.trimEnd()
        : `${key}: ${scalar(value)}`
    return `${line.padEnd(48)} # ${origin}; ${why}`
  })
  process.stdout.write(`${lines.join('\n')}\n`)
}

/**
 * `anvoke config check`: says on stdout that the settings are good, or fails with what is not. Tries what can be tried
 * without creating anything or disturbing a server that runs: the data directory and the interpreters that are named.
 *
 * @throws {ConfigError} what is wrong, unless it is told as JSON.
 */
export async function checkConfig(flags: SettingFlags, json: boolean): Promise<void> {
  try {
    const { config, file, credentials } = await load(flags)
    refuseDevKey(credentials)
    checkDataPlace(config.dataDir)
    await tryInterpreters(config)
    const answer = json ? JSON.stringify({ ok: true, file: file ?? null }) : 'The settings are good.'
    process.stdout.write(`${answer}\n`)
  } catch (error) {
    if (!json || !(error instanceof ConfigError)) throw error
    process.stdout.write(`${JSON.stringify({ ok: false, complaints: error.complaints })}\n`)
    process.exitCode = EXIT.usage
  }
}

function load({ flags, configFile }: SettingFlags): Promise<LoadedConfig> {
  return loadConfig({ flags, file: configFile, environment: process.env, cwd: process.cwd() })
}

/** The value in the notation of the file; secrets only as far as being set. */
function shownValue({ config, credentials }: LoadedConfig, key: SettingKey): string | number | null {
  if (key === 'accessKeySecret') return credentials.accessKeySecret === undefined ? null : '[redacted]'
  if (key === 'accessKeyId') return credentials.accessKeyId ?? null
  if (key === 'listen') return formatListenAddress(config.listen)
  return config[key] ?? null
}

/** Quotes what YAML could read as something else. */
function scalar(value: string | number): string {
  const isPlain = typeof value === 'number' || /^[\w/][\w./:-]*$/.test(value)
  return isPlain ? String(value) : JSON.stringify(value)
}
