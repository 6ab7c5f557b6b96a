import { shownValue } from '../../intake/shown-value.ts'
import { isJsonObject } from '../../model/json.ts'
import { FcError } from './errors.ts'
import type { JsonObject } from './operation.ts'

/**
 * A member by its documented name, in any case; the exact spelling wins where both are there.
 *
 * @returns `undefined` when it is absent or `null`: both mean "leave as it is".
 */
export function field(body: JsonObject, name: string): unknown {
  if (Object.hasOwn(body, name)) return body[name] ?? undefined
  const wanted = name.toLowerCase()
  const key = Object.keys(body).find((candidate) => candidate.toLowerCase() === wanted)
  return key === undefined ? undefined : (body[key] ?? undefined)
}

/** The vendor's sentence for a value it does not take. `allowed` is prose such as `Tail | None` or `1 - 300`. */
export function invalidValue(name: string, allowed: string, actual: unknown): FcError {
  return new FcError(
    'InvalidArgument',
    `${label(name)} is set to an invalid value (allowed: ${allowed}, actual: '${shownValue(actual)}')`,
  )
}

/** Insists on a member. @throws {FcError} InvalidArgument */
export function required<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new FcError('InvalidArgument', `${label(name)} is required but not provided`)
  return value
}

/** @param limits Length in characters; default 0 … 4096. @throws {FcError} InvalidArgument */
export function stringField(
  body: JsonObject,
  name: string,
  limits: { readonly min?: number; readonly max?: number } = {},
): string | undefined {
  const value = field(body, name)
  if (value === undefined) return undefined
  const { min = 0, max = 4096 } = limits
  if (typeof value !== 'string') throw invalidValue(name, 'a string', value)
  if (value.length < min || value.length > max)
    throw invalidValue(name, `a string of ${min} - ${max} characters`, value)
  return value
}

/** A whole number; numeric text counts as one. @throws {FcError} InvalidArgument */
export function integerField(
  body: JsonObject,
  name: string,
  range: { readonly min: number; readonly max: number },
): number | undefined {
  const value = field(body, name)
  if (value === undefined) return undefined
  return integerIn(name, value, range)
}

/** A number that may have a fraction. @throws {FcError} InvalidArgument */
export function numberField(
  body: JsonObject,
  name: string,
  range: { readonly min: number; readonly max: number },
): number | undefined {
  const value = field(body, name)
  if (value === undefined) return undefined
  if (typeof value !== 'number' || value < range.min || value > range.max)
    throw invalidValue(name, `${range.min} - ${range.max}`, value)
  return value
}

/** @throws {FcError} InvalidArgument */
export function booleanField(body: JsonObject, name: string): boolean | undefined {
  const value = field(body, name)
  if (value === undefined || typeof value === 'boolean') return value
  throw invalidValue(name, 'true | false', value)
}

/** One of a few words, compared exactly. @throws {FcError} InvalidArgument */
export function enumField<const W extends string>(
  body: JsonObject,
  name: string,
  words: readonly W[],
): W | undefined {
  const value = field(body, name)
  if (value === undefined) return undefined
  const word = words.find((candidate) => candidate === value)
  if (word === undefined) throw invalidValue(name, words.join(' | '), value)
  return word
}

/** @throws {FcError} InvalidArgument */
export function objectField(body: JsonObject, name: string): JsonObject | undefined {
  const value = field(body, name)
  if (value === undefined) return undefined
  if (!isJsonObject(value)) throw invalidValue(name, 'an object', value)
  return value
}

/** Names to texts, names kept in their case. @throws {FcError} InvalidArgument */
export function mapField(body: JsonObject, name: string): Readonly<Record<string, string>> | undefined {
  const value = objectField(body, name)
  if (value === undefined) return undefined
  return Object.fromEntries(
    Object.entries(value).map(([key, text]) => {
      if (typeof text !== 'string') throw invalidValue(`${name}.${key}`, 'a string', text)
      return [key, text]
    }),
  )
}

/** @param max Most entries taken. @throws {FcError} InvalidArgument, in the vendor's words for too many */
export function listField(body: JsonObject, name: string, max: number): readonly unknown[] | undefined {
  const value = field(body, name)
  if (value === undefined) return undefined
  if (!Array.isArray(value)) throw invalidValue(name, 'a list', value)
  if (value.length > max)
    throw new FcError(
      'InvalidArgument',
      `${label(name)} contains too many values (max: ${max}, actual: ${value.length})`,
    )
  return value as readonly unknown[]
}

/** @throws {FcError} InvalidArgument */
export function stringListField(body: JsonObject, name: string, max: number): readonly string[] | undefined {
  const list = listField(body, name, max)
  return list?.map((entry) => {
    if (typeof entry !== 'string') throw invalidValue(name, 'a list of strings', entry)
    return entry
  })
}

/** @throws {FcError} InvalidArgument */
export function objectListField(
  body: JsonObject,
  name: string,
  max: number,
): readonly JsonObject[] | undefined {
  const list = listField(body, name, max)
  return list?.map((entry) => {
    if (!isJsonObject(entry)) throw invalidValue(name, 'a list of objects', entry)
    return entry
  })
}

/** A whole number of the query, or of a header's text. @throws {FcError} InvalidArgument */
export function queryInteger(
  query: ReadonlyMap<string, string>,
  name: string,
  range: { readonly min: number; readonly max: number },
): number | undefined {
  const text = query.get(name)
  return text === undefined || text === '' ? undefined : integerIn(name, text, range)
}

function integerIn(
  name: string,
  value: unknown,
  { min, max }: { readonly min: number; readonly max: number },
): number {
  const number = typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < min || number > max)
    throw invalidValue(name, `${min} - ${max}`, value)
  return number
}

/** The vendor spells members in its messages as its own structs do: `logType` is `LogType`. */
function label(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1)
}
