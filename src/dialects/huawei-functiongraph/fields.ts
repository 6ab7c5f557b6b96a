import { shownValue } from '../../intake/shown-value.ts'
import { isJsonObject } from '../../model/json.ts'
import { FssError, type FssCode } from './errors.ts'
import type { JsonObject } from './operation.ts'

const DEFAULT_CODE: FssCode = 'FSS.0400'

/** How a member is refused: with the code that the vendor has for it. Default: `FSS.0400`. */
interface Refused {
  readonly code?: FssCode
}

interface IntegerRange extends Refused {
  readonly min: number
  readonly max: number
}

interface TextLimits extends Refused {
  /** Characters. Default 0. */
  readonly min?: number
  /** Characters. Default 4096. */
  readonly max?: number
  /** What the whole text must match. */
  readonly pattern?: RegExp
}

/** @returns `undefined` when the member is absent or `null`: both mean "not given". */
export function field(body: JsonObject, name: string): unknown {
  return Object.hasOwn(body, name) ? (body[name] ?? undefined) : undefined
}

/** The dialect's sentence for a value it does not take. `allowed` is prose such as `true | false` or `3 - 900`. */
export function invalidValue(name: string, allowed: string, actual: unknown, code = DEFAULT_CODE): FssError {
  return new FssError(
    code,
    `invalid parameter ${name} (allowed: ${allowed}, actual: '${shownValue(actual)}')`,
  )
}

/** Insists on a member. @throws {FssError} `code` */
export function required<T>(value: T | undefined, name: string, code: FssCode = DEFAULT_CODE): T {
  if (value === undefined) throw new FssError(code, `invalid parameter: ${name} is required`)
  return value
}

/** @throws {FssError} `limits.code` */
export function stringField(body: JsonObject, name: string, limits: TextLimits = {}): string | undefined {
  const value = field(body, name)
  if (value === undefined) return undefined
  const { min = 0, max = 4096, pattern, code } = limits
  if (typeof value !== 'string') throw invalidValue(name, 'a string', value, code)
  if (value.length < min || value.length > max)
    throw invalidValue(name, `a string of ${min} - ${max} characters`, value, code)
  if (pattern !== undefined && !pattern.test(value)) throw invalidValue(name, pattern.source, value, code)
  return value
}

/** A whole number; numeric text counts as one. @throws {FssError} `range.code` */
export function integerField(body: JsonObject, name: string, range: IntegerRange): number | undefined {
  const value = field(body, name)
  return value === undefined ? undefined : integerIn(name, value, range)
}

/** The words `true` and `false` count as well. @throws {FssError} `code` */
export function booleanField(body: JsonObject, name: string, code?: FssCode): boolean | undefined {
  const value = field(body, name)
  if (value === undefined || typeof value === 'boolean') return value
  if (value === 'true' || value === 'false') return value === 'true'
  throw invalidValue(name, 'true | false', value, code)
}

/** One of a few words, compared exactly. @throws {FssError} `code` */
export function enumField<const W extends string>(
  body: JsonObject,
  name: string,
  words: readonly W[],
  code?: FssCode,
): W | undefined {
  const value = field(body, name)
  if (value === undefined) return undefined
  const word = words.find((candidate) => candidate === value)
  if (word === undefined) throw invalidValue(name, words.join(' | '), value, code)
  return word
}

/** @throws {FssError} `code` */
export function objectField(body: JsonObject, name: string, code?: FssCode): JsonObject | undefined {
  const value = field(body, name)
  if (value === undefined) return undefined
  if (!isJsonObject(value)) throw invalidValue(name, 'an object', value, code)
  return value
}

/** Names to texts. @throws {FssError} `code` */
export function mapField(
  body: JsonObject,
  name: string,
  code?: FssCode,
): Readonly<Record<string, string>> | undefined {
  const value = objectField(body, name, code)
  if (value === undefined) return undefined
  return Object.fromEntries(
    Object.entries(value).map(([key, text]) => {
      if (typeof text !== 'string') throw invalidValue(`${name}.${key}`, 'a string', text, code)
      return [key, text]
    }),
  )
}

/** @param max Most entries taken. @throws {FssError} `code` */
export function listField(
  body: JsonObject,
  name: string,
  max: number,
  code: FssCode = DEFAULT_CODE,
): readonly unknown[] | undefined {
  const value = field(body, name)
  if (value === undefined) return undefined
  if (!Array.isArray(value)) throw invalidValue(name, 'a list', value, code)
  if (value.length > max)
    throw new FssError(code, `invalid parameter ${name}: ${value.length} entries, at most ${max}`)
  return value as readonly unknown[]
}

/** @throws {FssError} `code` */
export function stringListField(
  body: JsonObject,
  name: string,
  max: number,
  code?: FssCode,
): readonly string[] | undefined {
  return listField(body, name, max, code)?.map((entry) => {
    if (typeof entry !== 'string') throw invalidValue(name, 'a list of strings', entry, code)
    return entry
  })
}

/** @throws {FssError} `code` */
export function objectListField(
  body: JsonObject,
  name: string,
  max: number,
  code?: FssCode,
): readonly JsonObject[] | undefined {
  return listField(body, name, max, code)?.map((entry) => {
    if (!isJsonObject(entry)) throw invalidValue(name, 'a list of objects', entry, code)
    return entry
  })
}

/** A whole number of the query; an empty one counts as absent. @throws {FssError} `range.code` */
export function queryInteger(
  query: ReadonlyMap<string, string>,
  name: string,
  range: IntegerRange,
): number | undefined {
  const text = query.get(name)
  return text === undefined || text === '' ? undefined : integerIn(name, text, range)
}

function integerIn(name: string, value: unknown, { min, max, code }: IntegerRange): number {
  const number = typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < min || number > max)
    throw invalidValue(name, `${min} - ${max}`, value, code)
  return number
}
