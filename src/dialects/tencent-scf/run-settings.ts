import type { FunctionSpec } from '../../model/function.ts'
import { ScfError } from './errors.ts'
import {
  field,
  integerField,
  invalidValue,
  objectField,
  objectListField,
  textField,
  wordField,
} from './fields.ts'
import type { JsonObject } from './operation.ts'

/** What of a function decides how it runs, but for its code, its layers and its contract. */
export type RunSettings = Omit<FunctionSpec, 'code' | 'contract' | 'layers'>

/** Source of these numbers: the vendor's CreateFunction and quota pages. */
const MEMORY_STEP_MIB = 128
const SMALLEST_MEMORY_MIB = 64
export const LARGEST_MEMORY_MIB = 3072
export const LONGEST_TIMEOUT_S = 900
const LONGEST_ASYNC_TIMEOUT_S = 86_400
const MAX_ENVIRONMENT_BYTES = 4096
const DEFAULT_TIMEOUT_MS = 3000
const DEFAULT_MEMORY_MIB = 128
const DISK_MIB = 512
const DEFAULT_RUNTIME = 'Python2.7'

/** Variable names that belong to the vendor. */
const RESERVED_PREFIX = /^(?:SCF_|QCLOUD_|TENCENTCLOUD_)/
const MAX_HANDLER_CHARS = 128
/** A file, which may be in folders, and a function in it. */
const FILE_AND_FUNCTION = /^[^\s./\0][^\s\0]*\.[^\s./\0]+$/

/**
 * How a function is to run after a request: what it names, else what was before, else the vendor's defaults.
 *
 * @param before Of an existing function: its runtime stays, whatever the request says.
 * @param isAsyncRun Whether the function runs every call in the background, which gives it longer.
 * @throws {ScfError}
 */
export function readRun(
  params: JsonObject,
  before: RunSettings | undefined,
  isAsyncRun: boolean,
): RunSettings {
  const runtime = before?.runtime ?? readRuntime(params)
  const network = readNetwork(params, before?.network)
  return {
    ...(before?.initializer === undefined ? {} : { initializer: before.initializer }),
    runtime,
    handler: readHandler(params, runtime) ?? before?.handler ?? missingHandler(),
    timeoutMs:
      readTimeoutMs(params, isAsyncRun, before?.timeoutMs) ?? before?.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    memoryMib: readMemoryMib(params, before?.memoryMib) ?? before?.memoryMib ?? DEFAULT_MEMORY_MIB,
    diskMib: before?.diskMib ?? DISK_MIB,
    instanceConcurrency: before?.instanceConcurrency ?? 1,
    environment: readEnvironment(params) ?? before?.environment ?? {},
    ...(network === undefined ? {} : { network }),
  }
}

/** `Handler`; empty text counts as absent. @throws {ScfError} */
export function readHandler(params: JsonObject, runtime: string): string | undefined {
  const code = 'InvalidParameterValue.Handler'
  const handler = textField(params, 'Handler', { max: MAX_HANDLER_CHARS, code })
  if (handler === undefined || handler === '') return undefined
  if (/^(?:node|python|php)/i.test(runtime) && !FILE_AND_FUNCTION.test(handler))
    throw invalidValue('Handler', 'file.function such as index.main_handler', handler, code)
  if (handler.includes('\0')) throw invalidValue('Handler', 'text without NUL', handler, code)
  return handler
}

/** The variables as this API lists them. */
export function environmentBody(environment: FunctionSpec['environment']): JsonObject {
  return { Variables: Object.entries(environment).map(([Key, Value]) => ({ Key, Value })) }
}

function readRuntime(params: JsonObject): string {
  const code = 'InvalidParameterValue.Runtime'
  return textField(params, 'Runtime', { max: 64, pattern: /^[\w.]*$/, code }) || DEFAULT_RUNTIME
}

/** `PublicNetConfig.PublicNetStatus`; a configuration without it is enabled, as it is shown. */
function readNetwork(params: JsonObject, before: RunSettings['network']): RunSettings['network'] {
  const code = 'InvalidParameterValue.PublicNetConfig'
  const given = objectField(params, 'PublicNetConfig', { code })
  if (given === undefined) return before
  return wordField(given, 'PublicNetStatus', ['ENABLE', 'DISABLE'], { code }) === 'DISABLE'
    ? 'none'
    : undefined
}

function missingHandler(): never {
  throw new ScfError('MissingParameter', 'the request is missing the parameter Handler')
}

/** Longer times that only other APIs give may be sent back as they are. */
function readTimeoutMs(params: JsonObject, isAsyncRun: boolean, beforeMs = 0): number | undefined {
  const longest = isAsyncRun ? LONGEST_ASYNC_TIMEOUT_S : LONGEST_TIMEOUT_S
  const seconds = integerField(params, 'Timeout', { min: 1, shownMax: longest })
  if (seconds === undefined) return undefined
  if (seconds > longest && seconds * 1000 !== beforeMs)
    throw invalidValue('Timeout', `1 - ${longest}`, seconds, 'LimitExceeded.Timeout')
  return seconds * 1000
}

/** Sizes that only other APIs give may be sent back as they are. */
function readMemoryMib(params: JsonObject, before: number | undefined): number | undefined {
  const code = 'InvalidParameterValue.MemorySize'
  const mib = integerField(params, 'MemorySize', { min: 1, code })
  if (mib === undefined || mib === before) return mib
  const allowed = `${SMALLEST_MEMORY_MIB}, or ${MEMORY_STEP_MIB} - ${LARGEST_MEMORY_MIB} in steps of ${MEMORY_STEP_MIB}`
  if (mib > LARGEST_MEMORY_MIB) throw invalidValue('MemorySize', allowed, mib, 'LimitExceeded.Memory')
  if (mib !== SMALLEST_MEMORY_MIB && mib % MEMORY_STEP_MIB !== 0)
    throw invalidValue('MemorySize', allowed, mib, code)
  return mib
}

/** One variable without a name and a value clears them all; so does an empty list. */
function readEnvironment(params: JsonObject): FunctionSpec['environment'] | undefined {
  const code = 'InvalidParameterValue.Environment'
  const given = objectField(params, 'Environment', { code })
  const variables = given && objectListField(given, 'Variables', { code })
  if (variables === undefined) return undefined
  const environment: Record<string, string> = {}
  let bytes = 0
  for (const variable of variables) {
    const key = textField(variable, 'Key', { required: true, code })
    const value = field(variable, 'Value') === undefined ? '' : valueOf(variable)
    if (key === '' && value === '' && variables.length === 1) return {}
    if (!/^[A-Za-z]\w*$/.test(key))
      throw invalidValue('Environment', 'names of letters, digits and _ that begin with a letter', key, code)
    if (RESERVED_PREFIX.test(key))
      throw new ScfError(
        'InvalidParameterValue.EnvironmentSystemProtect',
        `the variable '${key}' is the system's: names must not begin with SCF_, QCLOUD_ or TENCENTCLOUD_`,
      )
    if (Object.hasOwn(environment, key))
      throw invalidValue('Environment', 'each name at most once', key, code)
    environment[key] = value
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value)
  }
  if (bytes > MAX_ENVIRONMENT_BYTES)
    throw new ScfError(
      'InvalidParameterValue.EnvironmentExceededLimit',
      `the environment variables have ${bytes} bytes; at most ${MAX_ENVIRONMENT_BYTES} are allowed`,
    )
  return environment
}

function valueOf(variable: JsonObject): string {
  const value = textField(variable, 'Value', {
    required: true,
    max: MAX_ENVIRONMENT_BYTES,
    code: 'InvalidParameterValue.EnvironmentExceededLimit',
  })
  if (value.includes('\0'))
    throw invalidValue('Environment', 'values without NUL', '', 'InvalidParameterValue.Environment')
  return value
}
