import { shownValue } from '../../intake/shown-value.ts'
import { isJsonObject } from '../../model/json.ts'
import { ScfError, type ScfCode } from './errors.ts'
import type { JsonObject } from './operation.ts'

/** Longest text of a parameter whose reader names no other bound, characters. */
const DEFAULT_MAX_CHARS = 4096
/** Most entries of a list whose reader names no other bound. */
const DEFAULT_MAX_ENTRIES = 1000

/** What every reader may be told. */
export interface FieldOptions {
  /** Default false: an absent parameter is `undefined`. */
  readonly required?: boolean
  /** Code of a value that is not taken. Default `InvalidParameterValue`. */
  readonly code?: ScfCode
  /** Code of a required parameter that is absent. Default `MissingParameter`. */
  readonly missingCode?: ScfCode
}

export interface TextOptions extends FieldOptions {
  /** Length in characters. Default 0. */
  readonly min?: number
  /** Default 4096. */
  readonly max?: number
  /** The whole text must match it. */
  readonly pattern?: RegExp
}

export interface IntegerOptions extends FieldOptions {
  /** Default 0. */
  readonly min?: number
  /** Default `Number.MAX_SAFE_INTEGER`. */
  readonly max?: number
  /** The greatest that a refusal names, where another check holds to it. Default {@link max}. */
  readonly shownMax?: number
  /** The value must be a multiple of it. */
  readonly step?: number
}

type Required = { readonly required: true }

/** A parameter by its exact name; `undefined` when it is absent or `null`. */
export function field(params: JsonObject, name: string): unknown {
  return Object.hasOwn(params, name) ? (params[name] ?? undefined) : undefined
}

/** A sentence for a value that is not taken. `allowed` is prose such as `None or Tail` or `1 - 900`. */
export function invalidValue(name: string, allowed: string, actual: unknown, code?: ScfCode): ScfError {
  return new ScfError(
    code ?? 'InvalidParameterValue',
    `${name} is invalid (allowed: ${allowed}, actual: '${shownValue(actual)}')`,
  )
}

/** A text, exactly as sent. @throws {ScfError} */
export function textField(params: JsonObject, name: string, options: TextOptions & Required): string
export function textField(params: JsonObject, name: string, options?: TextOptions): string | undefined
export function textField(params: JsonObject, name: string, options: TextOptions = {}): string | undefined {
  const value = present(params, name, options)
  if (value === undefined) return undefined
  const { min = 0, max = DEFAULT_MAX_CHARS, pattern, code } = options
  if (typeof value !== 'string') throw invalidValue(name, 'a text', value, code)
  if (value.length < min || value.length > max)
    throw invalidValue(name, `${min} - ${max} characters`, value, code)
  if (pattern !== undefined && !pattern.test(value))
    throw invalidValue(name, `a text that matches ${pattern.source}`, value, code)
  return value
}

/** A whole number; its decimal text counts as one. @throws {ScfError} */
export function integerField(params: JsonObject, name: string, options: IntegerOptions & Required): number
export function integerField(params: JsonObject, name: string, options?: IntegerOptions): number | undefined
export function integerField(
  params: JsonObject,
  name: string,
  options: IntegerOptions = {},
): number | undefined {
  const value = present(params, name, options)
  if (value === undefined) return undefined
  const { min = 0, max = Number.MAX_SAFE_INTEGER, step = 1, code } = options
  const number = typeof value === 'string' && /^[+-]?\d{1,16}$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < min || number > max)
    throw invalidValue(name, `a whole number, ${min} - ${options.shownMax ?? max}`, value, code)
  if (number % step !== 0) throw invalidValue(name, `a multiple of ${step}`, value, code)
  return number
}

/** A number that may have a fraction; its decimal text counts as one. @throws {ScfError} */
export function numberField(
  params: JsonObject,
  name: string,
  options: FieldOptions & { readonly min: number; readonly max: number },
): number | undefined {
  const value = present(params, name, options)
  if (value === undefined) return undefined
  const { min, max, code } = options
  const number =
    typeof value === 'string' && /^-?\d{1,15}(?:\.\d{1,15})?$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !(number >= min && number <= max))
    throw invalidValue(name, `a number, ${min} - ${max}`, value, code)
  return number
}

/** A truth value, or the word for it in any case. @throws {ScfError} */
export function booleanField(params: JsonObject, name: string, options: FieldOptions & Required): boolean
export function booleanField(params: JsonObject, name: string, options?: FieldOptions): boolean | undefined
export function booleanField(
  params: JsonObject,
  name: string,
  options: FieldOptions = {},
): boolean | undefined {
  const value = present(params, name, options)
  if (value === undefined || typeof value === 'boolean') return value
  const word = typeof value === 'string' ? value.toLowerCase() : undefined
  if (word === 'true') return true
  if (word === 'false') return false
  throw invalidValue(name, 'true or false', value, options.code)
}

/**
 * A truth value that the vendor's models spell as a text, `TRUE` or `FALSE`; empty text counts as absent.
 *
 * @throws {ScfError}
 */
export function flagField(params: JsonObject, name: string, options: FieldOptions = {}): boolean | undefined {
  return field(params, name) === '' ? undefined : booleanField(params, name, options)
}

/** How the vendor spells a flag in answers. */
export function flagText(flag: boolean): 'TRUE' | 'FALSE' {
  return flag ? 'TRUE' : 'FALSE'
}

/**
 * One of a few words.
 *
 * @param options.anyCase Take it in any case and return it as `words` spells it. Default false.
 * @param options.emptyIsAbsent Take empty text for no parameter. Default false.
 * @throws {ScfError}
 */
export function wordField<const W extends string>(
  params: JsonObject,
  name: string,
  words: readonly W[],
  options: FieldOptions & { readonly anyCase?: boolean; readonly emptyIsAbsent?: boolean } = {},
): W | undefined {
  const value = present(params, name, options)
  if (value === undefined || (value === '' && options.emptyIsAbsent === true)) return undefined
  const wanted = options.anyCase === true && typeof value === 'string' ? value.toLowerCase() : value
  const word = words.find((known) => (options.anyCase === true ? known.toLowerCase() : known) === wanted)
  if (word === undefined) throw invalidValue(name, words.join(' or '), value, options.code)
  return word
}

/** @throws {ScfError} */
export function objectField(params: JsonObject, name: string, options: FieldOptions & Required): JsonObject
export function objectField(params: JsonObject, name: string, options?: FieldOptions): JsonObject | undefined
export function objectField(
  params: JsonObject,
  name: string,
  options: FieldOptions = {},
): JsonObject | undefined {
  const value = present(params, name, options)
  if (value === undefined) return undefined
  if (!isJsonObject(value)) throw invalidValue(name, 'an object', value, options.code)
  return value
}

/** @param options.max Most entries taken. Default 1000. @throws {ScfError} */
export function listField(
  params: JsonObject,
  name: string,
  options: FieldOptions & { readonly max?: number } = {},
): readonly unknown[] | undefined {
  const value = present(params, name, options)
  if (value === undefined) return undefined
  const { max = DEFAULT_MAX_ENTRIES, code } = options
  if (!Array.isArray(value)) throw invalidValue(name, 'a list', value, code)
  if (value.length > max) throw invalidValue(name, `at most ${max} entries`, value.length, code)
  return value as readonly unknown[]
}

/** @throws {ScfError} */
export function textListField(
  params: JsonObject,
  name: string,
  options: FieldOptions & { readonly max?: number } = {},
): readonly string[] | undefined {
  return listField(params, name, options)?.map((entry) => {
    if (typeof entry !== 'string') throw invalidValue(name, 'a list of texts', entry, options.code)
    return entry
  })
}

/** @throws {ScfError} */
export function objectListField(
  params: JsonObject,
  name: string,
  options: FieldOptions & { readonly max?: number } = {},
): readonly JsonObject[] | undefined {
  return listField(params, name, options)?.map((entry) => {
    if (!isJsonObject(entry)) throw invalidValue(name, 'a list of objects', entry, options.code)
    return entry
  })
}

function present(params: JsonObject, name: string, { required, missingCode }: FieldOptions): unknown {
  const value = field(params, name)
  if (value === undefined && required === true)
    throw new ScfError(missingCode ?? 'MissingParameter', `the request is missing the parameter ${name}`)
  return value
}
