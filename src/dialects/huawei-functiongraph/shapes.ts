import { isJsonObject } from '../../model/json.ts'
import { field, invalidValue } from './fields.ts'
import { FssError, type FssCode } from './errors.ts'
import type { JsonObject } from './operation.ts'

/** What a nested member may be; members of objects that a shape does not name are left out. */
export type Shape = 'text' | 'integer' | 'boolean' | 'texts' | ObjectShape | readonly [ObjectShape]

export interface ObjectShape {
  readonly [member: string]: Shape
}

/** Entries of a list and characters of a text that is only kept and shown again. */
const MAX_ENTRIES = 100
const MAX_CHARS = 4096

/** Levels and values of an object whose members are not known. */
const MAX_DEPTH = 8
const MAX_VALUES = 1000

/**
 * An object that is kept and shown again, member by member: never deeper than its shape, whatever was sent.
 *
 * @throws {FssError} `code`
 */
export function shapedField(
  body: JsonObject,
  name: string,
  shape: ObjectShape,
  code: FssCode = 'FSS.0400',
): JsonObject | undefined {
  const value = field(body, name)
  return value === undefined ? undefined : shapedObject(name, value, shape, code)
}

/** See {@link shapedField}; `name` is what messages call the value. */
export function shapedObject(name: string, value: unknown, shape: ObjectShape, code: FssCode): JsonObject {
  if (!isJsonObject(value)) throw invalidValue(name, 'an object', value, code)
  return Object.fromEntries(
    Object.entries(shape).flatMap(([member, memberShape]) => {
      const given = field(value, member)
      return given === undefined ? [] : [[member, shaped(`${name}.${member}`, given, memberShape, code)]]
    }),
  )
}

function shaped(name: string, value: unknown, shape: Shape, code: FssCode): unknown {
  switch (shape) {
    case 'text':
      if (typeof value !== 'string' || value.length > MAX_CHARS)
        throw invalidValue(name, `a string of at most ${MAX_CHARS} characters`, value, code)
      return value
    case 'integer':
      if (typeof value !== 'number' || !Number.isSafeInteger(value))
        throw invalidValue(name, 'a whole number', value, code)
      return value
    case 'boolean':
      if (typeof value !== 'boolean') throw invalidValue(name, 'true | false', value, code)
      return value
    case 'texts':
      return entries(name, value, code).map((entry) => shaped(name, entry, 'text', code))
    default:
      if (!isListShape(shape)) return shapedObject(name, value, shape, code)
      return entries(name, value, code).map((entry) => shapedObject(name, entry, shape[0], code))
  }
}

function entries(name: string, value: unknown, code: FssCode): readonly unknown[] {
  if (!Array.isArray(value) || value.length > MAX_ENTRIES)
    throw invalidValue(name, `a list of at most ${MAX_ENTRIES} entries`, value, code)
  return value
}

function isListShape(shape: ObjectShape | readonly [ObjectShape]): shape is readonly [ObjectShape] {
  return Array.isArray(shape)
}

/** Insists that a value of unknown members can be kept: not too deep, not too much of it. @throws {FssError} `code` */
export function requireBounded(name: string, value: unknown, code: FssCode): void {
  let level: unknown[] = [value]
  let count = 0
  for (let depth = 0; level.length > 0; depth += 1) {
    count += level.length
    if (depth > MAX_DEPTH || count > MAX_VALUES)
      throw new FssError(code, `invalid parameter ${name}: too deep, or too many values`)
    level = level.flatMap((each) =>
      typeof each === 'object' && each !== null ? (Object.values(each) as unknown[]) : [],
    )
  }
}
