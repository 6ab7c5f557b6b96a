import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Complaint } from './config-error.ts'
import { isCredentialKey, isSettingKey, settingKeys, variableOf, type SettingKey } from './schema.ts'
import { suggest } from './suggest.ts'

/** Largest file that is read as settings or as a secret, bytes. */
const MAX_FILE_BYTES = 1024 * 1024

/** A setting as one source has it. */
export interface SourcedText {
  readonly text: string
  /** For people, such as `ANVOKE_LISTEN` or `anvoke.yaml`. */
  readonly origin: string
  /** What a relative path starts from. */
  readonly baseDir: string
}

export type Sourced = Map<SettingKey, SourcedText>

/** Variables with our prefix that are not settings. */
const OTHER_VARIABLES = ['ANVOKE_CONFIG']

/**
 * What Kubernetes gives every container of a namespace that has a Service called `anvoke`:
 * https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables and, for `_PORT…`, Docker's legacy links.
 */
const OF_A_SERVICE =
  /^ANVOKE_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP)(?:_(?:PROTO|PORT|ADDR))?)$/

/** Reads the `ANVOKE_*` variables. An empty variable counts as unset; those of a Kubernetes Service called `anvoke` are none of ours. */
export function readEnvironment(
  environment: NodeJS.ProcessEnv,
  cwd: string,
  complaints: Complaint[],
): Sourced {
  const found: Sourced = new Map()
  const keyOf = new Map(settingKeys.map((key) => [variableOf(key), key]))
  const fileKeyOf = new Map(
    settingKeys.filter(isCredentialKey).map((key) => [`${variableOf(key)}_FILE`, key as SettingKey]),
  )
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith('ANVOKE_') || OTHER_VARIABLES.includes(name) || value === undefined || value === '')
      continue
    if (isOfAService(name, value)) continue
    const key = keyOf.get(name) ?? fileKeyOf.get(name)
    if (key === undefined) {
      const nearest = suggest(name, [...keyOf.keys(), ...fileKeyOf.keys(), ...OTHER_VARIABLES])
      complaints.push(unknown(`the environment variable ${name}`, nearest, 'unset it'))
    } else if (found.has(key)) {
      complaints.push({
        what: `${variableOf(key)} and ${variableOf(key)}_FILE are both set`,
        why: 'only one can be meant',
        fix: 'unset one of them',
      })
    } else {
      const text = fileKeyOf.has(name) ? readSecretFile(name, resolve(cwd, value), complaints) : value
      if (text !== undefined) found.set(key, { text, origin: name, baseDir: cwd })
    }
  }
  return found
}

function isOfAService(name: string, value: string): boolean {
  return OF_A_SERVICE.test(name) || (name === 'ANVOKE_PORT' && /^(?:tcp|udp):\/\//.test(value))
}

/** Reads a file of settings: a YAML mapping of setting names to scalars. */
export async function readSettingsFile(file: string, complaints: Complaint[]): Promise<Sourced> {
  const found: Sourced = new Map()
  const content = readSmallFile(file, `the configuration file ${file}`, complaints)
  if (content === undefined) return found
  // Not needed by most starts, and slow to load.
  const { parseDocument } = await import('yaml')
  // In the failsafe schema every scalar is text, as in the other sources: `0123` and `1e3` stay what was written.
  const document = parseDocument(content, { schema: 'failsafe', prettyErrors: true, stringKeys: true })
  let settings: unknown
  try {
    const [error] = document.errors
    if (error !== undefined) throw error
    settings = document.toJS({ maxAliasCount: 0 }) ?? {}
  } catch (error) {
    const why = error instanceof Error ? error.message.trim() : String(error)
    complaints.push({ what: `${file} is not YAML that can be used`, why, fix: 'correct the file' })
    return found
  }
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings)) {
    complaints.push({
      what: `${file} holds no settings`,
      why: 'it is not a mapping of names to values',
      fix: 'write lines such as `listen: 127.0.0.1:7400`',
    })
    return found
  }
  for (const [name, value] of Object.entries(settings)) {
    if (!isSettingKey(name)) {
      complaints.push(unknown(`the setting '${name}' in ${file}`, suggest(name, settingKeys), 'remove it'))
    } else if (typeof value === 'string') {
      found.set(name, { text: value, origin: file, baseDir: dirname(file) })
    } else {
      complaints.push({
        what: `'${name}' in ${file} has more than one value`,
        why: 'every setting takes one',
        fix: `write \`${name}: …\` on one line`,
      })
    }
  }
  return found
}

function unknown(what: string, nearest: string | undefined, otherwise: string): Complaint {
  return {
    what: `${what} is not known`,
    why: 'a name that is ignored would hide a mistake',
    fix: nearest === undefined ? otherwise : `did you mean ${nearest}? Otherwise ${otherwise}`,
    see: 'anvoke config print',
  }
}

function readSecretFile(variable: string, file: string, complaints: Complaint[]): string | undefined {
  return readSmallFile(file, `the file ${file} that ${variable} names`, complaints)?.trim()
}

function readSmallFile(file: string, what: string, complaints: Complaint[]): string | undefined {
  try {
    const content = readFileSync(file)
    if (content.length > MAX_FILE_BYTES) throw new Error(`it has more than ${MAX_FILE_BYTES} bytes`)
    return content.toString()
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    complaints.push({ what: `${what} cannot be read`, why, fix: 'check the path and the permissions' })
    return undefined
  }
}
