import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type * as z from 'zod/mini'
import { ConfigError, type Complaint } from './config-error.ts'
import { inspectHost, type Host } from './host.ts'
import {
  configSchema,
  credentialSchema,
  flagOf,
  isCredentialKey,
  isSettingKey,
  settingDocs,
  settingKeys,
  type Config,
  type CredentialSettings,
  type SettingKey,
} from './schema.ts'
import { readEnvironment, readSettingsFile, type Sourced, type SourcedText } from './sources.ts'

/** Settings read when no file is named, from the working directory. */
const DEFAULT_FILE = 'anvoke.yaml'
/** Where a setting comes from that nobody set. */
export const DEFAULT_ORIGIN = 'default'

export interface ConfigSources {
  /** Texts of the flags that were given. */
  readonly flags: ReadonlyMap<SettingKey, string>
  /** The file of `--config`. */
  readonly file?: string | undefined
  readonly environment: NodeJS.ProcessEnv
  /** Absolute. Relative paths of flags and variables start here; those of a file start at the file. */
  readonly cwd: string
  /** Default: this machine. */
  readonly host?: Host
}

export interface LoadedConfig {
  readonly config: Config
  /** The root key as far as it is set; both members or none. */
  readonly credentials: CredentialSettings
  /** Where each setting comes from: a flag, a variable, a file or {@link DEFAULT_ORIGIN}. */
  readonly origins: ReadonlyMap<SettingKey, string>
  /** The file that was read. */
  readonly file: string | undefined
}

/**
 * Reads the settings: flag before environment before file before default.
 *
 * @throws {ConfigError} with everything that is wrong: unknown names, values out of range, files that cannot be read.
 */
export async function loadConfig(sources: ConfigSources): Promise<LoadedConfig> {
  const complaints: Complaint[] = []
  const file = chooseFile(sources)
  const fromEnvironment = readEnvironment(sources.environment, sources.cwd, complaints)
  const fromFile = file === undefined ? new Map() : await readSettingsFile(file, complaints)
  const sourced: Sourced = new Map([
    ...readDefaults(sources),
    ...fromFile,
    ...fromEnvironment,
    ...readFlags(sources),
  ])
  const { success: configOk, data: config } = check(configSchema, sourced, false, complaints)
  const { success: credentialsOk, data: credentials } = check(credentialSchema, sourced, true, complaints)
  if (sourced.has('accessKeyId') !== sourced.has('accessKeySecret')) complaints.push(HALF_A_KEY)
  if (!configOk || !credentialsOk || complaints.length > 0) throw new ConfigError(complaints)
  const origins = new Map([...sourced].map(([key, { origin }]) => [key, origin]))
  return { config: deepFreeze(resolvePaths(config, sourced)), credentials, origins, file }
}

/**
 * The data directory that {@link loadConfig} would find, whatever is wrong with other settings: those who look after a server that runs
 * are not kept from it by a line that was changed since.
 *
 * @throws {ConfigError} nothing names it, and something that may be meant to cannot be read or is not known; or it is no path.
 */
export async function findDataDir(sources: ConfigSources): Promise<string> {
  const complaints: Complaint[] = []
  const usual = readDefaults(sources).get('dataDir')
  const found = readFlags(sources).get('dataDir') ?? (await readNamedDataDir(sources, complaints)) ?? usual
  if (found === undefined || (found === usual && complaints.length > 0))
    throw new ConfigError([...complaints, DATA_DIR_UNKNOWN])
  const { success, data } = configSchema.shape.dataDir.safeParse(found.text)
  if (success) return resolve(found.baseDir, data)
  throw new ConfigError([badValue('dataDir', 'is not a path', found, false)])
}

async function readNamedDataDir(
  sources: ConfigSources,
  complaints: Complaint[],
): Promise<SourcedText | undefined> {
  const named = readEnvironment(sources.environment, sources.cwd, complaints).get('dataDir')
  if (named !== undefined) return named
  const file = chooseFile(sources)
  return file === undefined ? undefined : (await readSettingsFile(file, complaints)).get('dataDir')
}

const DATA_DIR_UNKNOWN: Complaint = {
  what: 'the data directory of the server is not known',
  why: 'the settings that may name it cannot be used',
  fix: 'name it with --data, as the banner of the server does, or correct the settings',
}

const HALF_A_KEY: Complaint = {
  what: 'only one of accessKeyId and accessKeySecret is set',
  why: 'a key is both',
  fix: 'set both, or none to have them made',
}

function chooseFile({ file, environment, cwd }: ConfigSources): string | undefined {
  const named = file ?? (environment['ANVOKE_CONFIG'] || undefined)
  if (named !== undefined) return resolve(cwd, named)
  const usual = resolve(cwd, DEFAULT_FILE)
  return existsSync(usual) ? usual : undefined
}

function readFlags({ flags, cwd }: ConfigSources): Sourced {
  return new Map(
    [...flags].map(([key, text]) => [key, { text, origin: `--${flagOf(key) ?? key}`, baseDir: cwd }]),
  )
}

function readDefaults({ environment, cwd, host }: ConfigSources): Sourced {
  const inspected = host ?? inspectHost(environment)
  const found: Sourced = new Map()
  for (const key of settingKeys) {
    const { fallback } = settingDocs[key]
    const text = typeof fallback === 'function' ? fallback(inspected) : fallback
    if (text !== undefined) found.set(key, { text, origin: DEFAULT_ORIGIN, baseDir: cwd })
  }
  return found
}

type Checked<Value> = { success: true; data: Value } | { success: false; data: undefined }

function check<Schema extends z.ZodMiniObject>(
  schema: Schema,
  sourced: Sourced,
  areSecret: boolean,
  complaints: Complaint[],
): Checked<z.output<Schema>> {
  const texts = [...sourced].filter(([key]) => isCredentialKey(key) === areSecret)
  const result = schema.safeParse(Object.fromEntries(texts.map(([key, { text }]) => [key, text])))
  if (result.success) return { success: true, data: result.data }
  for (const issue of result.error.issues) {
    const [key] = issue.path
    if (typeof key !== 'string' || !isSettingKey(key)) throw result.error
    complaints.push(badValue(key, issue.message, sourced.get(key), areSecret))
  }
  return { success: false, data: undefined }
}

function badValue(
  key: SettingKey,
  expected: string,
  source: SourcedText | undefined,
  isSecret: boolean,
): Complaint {
  const value = isSecret || source === undefined ? 'its value' : `'${source.text.slice(0, 100)}'`
  return {
    what: `${key} cannot be used`,
    why: `${value} ${expected}`,
    fix: `change it in ${source?.origin ?? 'the settings'} (${settingDocs[key].why})`,
  }
}

/** Makes paths absolute, each from where it was written. */
function resolvePaths(
  config: z.output<typeof configSchema>,
  sourced: Sourced,
): z.output<typeof configSchema> {
  const resolved = { ...config }
  for (const key of ['dataDir', 'nodePath', 'pythonPath'] as const) {
    const value = config[key]
    if (value !== undefined) resolved[key] = resolve(sourced.get(key)?.baseDir ?? '/', value)
  }
  return resolved
}

function deepFreeze<T extends object>(value: T): T {
  for (const member of Object.values(value))
    if (typeof member === 'object' && member !== null) deepFreeze(member)
  return Object.freeze(value)
}
