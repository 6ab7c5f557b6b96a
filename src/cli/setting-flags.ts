import { Option, type Command } from 'commander'
import { allowedValues } from '../config/fields.ts'
import { inspectHost } from '../config/host.ts'
import {
  configSchema,
  credentialSchema,
  flagOf,
  isCredentialKey,
  settingDocs,
  settingKeys,
  variableOf,
  type SettingKey,
} from '../config/schema.ts'

/** What the command line says about settings. */
export interface SettingFlags {
  readonly flags: ReadonlyMap<SettingKey, string>
  readonly configFile: string | undefined
}

/** The settings that `anvoke dev` is run with; its help leaves out those for a server under load. */
const DEV_SETTINGS: ReadonlySet<SettingKey> = new Set<SettingKey>([
  'listen',
  'dataDir',
  'region',
  'accountId',
  'sandbox',
  'network',
  'idleTimeoutSeconds',
  'freezeAfterMs',
  'startTimeoutSeconds',
  'logLevel',
  'logFormat',
  'nodePath',
  'pythonPath',
])

const CREDENTIALS_HELP = settingKeys
  .filter((key) => isCredentialKey(key))
  .map((key) => `  ${variableOf(key)}, or ${variableOf(key)}_FILE\n      ${settingDocs[key].why}`)
  .join('\n')

const NOTES = {
  serve: `
Each flag can be a variable, as shown, or a line of anvoke.yaml (\`anvoke config print\` writes such a file). Flags come
before variables, variables before the file.

The root key has no flag, which every user of the machine could read:
${CREDENTIALS_HELP}`,
  dev: `
Every other setting of \`anvoke serve --help\` can be given too. The key is anvoke-dev / anvoke-dev-secret, unless these
are set:
${CREDENTIALS_HELP.replaceAll(/; unset:.*/g, '')}`,
}

/**
 * Adds `--config` and a flag for each setting that is not secret, and to the help what else there is to say about them.
 *
 * @param mode Whose defaults the help shows; `dev` also hides what hardly matters there.
 */
export function addSettingFlags(command: Command, mode: 'serve' | 'dev' = 'serve'): Command {
  command.option(
    '--config <file>',
    'read settings from this file (default ./anvoke.yaml where it exists; ANVOKE_CONFIG)',
  )
  for (const { key, option } of settingOptions()) {
    option.description = `${settingDocs[key].why} (${detailsOf(key, mode)})`
    command.addOption(mode === 'dev' && !DEV_SETTINGS.has(key) ? option.hideHelp() : option)
  }
  return command.addHelpText('after', NOTES[mode])
}

/** Collects what was given of the flags that {@link addSettingFlags} added. */
export function readSettingFlags(command: Command): SettingFlags {
  const values = command.opts<Record<string, string | undefined>>()
  const flags = new Map<SettingKey, string>()
  for (const { key, option } of settingOptions()) {
    const text = values[option.attributeName()]
    if (text !== undefined) flags.set(key, text)
  }
  return { flags, configFile: values['config'] }
}

function settingOptions(): { key: SettingKey; option: Option }[] {
  return settingKeys.flatMap((key) => {
    const flag = flagOf(key)
    return flag === undefined ? [] : [{ key, option: new Option(`--${flag} <${settingDocs[key].unit}>`) }]
  })
}

/** What is allowed, what stands when nobody sets it, and the variable. */
function detailsOf(key: SettingKey, mode: 'serve' | 'dev'): string {
  const field = isCredentialKey(key) ? credentialSchema.shape[key] : configSchema.shape[key]
  const values = allowedValues(field)
  const { unit } = settingDocs[key]
  const isMeasured = unit === 'seconds' || unit === 'MiB'
  const parts = [
    ...(values === undefined ? [] : [isMeasured ? `${values} ${unit}` : values]),
    defaultOf(key, mode),
    variableOf(key),
  ]
  return parts.join('; ')
}

function defaultOf(key: SettingKey, mode: 'serve' | 'dev'): string {
  if (mode === 'dev' && key === 'dataDir') return 'default: a new one, removed at exit'
  const { fallback } = settingDocs[key]
  if (fallback === undefined) return 'no default'
  return typeof fallback === 'string'
    ? `default ${fallback}`
    : `default on this machine ${fallback(inspectHost(process.env))}`
}
