import { putTags } from '../../definitions/tags.ts'
import type { Draft } from '../../engine/catalogue.ts'
import { tagsKey } from '../../engine/keys.ts'
import { isJsonObject, parsedJson } from '../../model/json.ts'
import type { FunctionRecord } from '../../store/definition-store.ts'
import { FssError } from './errors.ts'
import { invalidValue } from './fields.ts'
import { QUOTA } from './limits.ts'

/** Lengths in characters; a value may be empty. Source: the vendor's general convention for tags. */
const KEY_CHARS = 128
const VALUE_CHARS = 255

export type Tags = Readonly<Record<string, string>>

/** A list of `{key, value}` as tags. @throws {FssError} `FSS.0400` */
export function tagsOfList(name: string, list: readonly unknown[]): Tags {
  return Object.fromEntries(
    list.map((entry) => {
      if (!isJsonObject(entry)) throw invalidValue(name, 'a list of {key, value}', entry)
      return requireTag(name, entry['key'], entry['value'] ?? '')
    }),
  )
}

/** The tags of a create request: JSON as a string, an object or a list of `{key, value}`. @throws {FssError} `FSS.0400` */
export function tagsOfText(text: string): Tags {
  if (text === '') return {}
  const value = parsedJson(text)
  if (Array.isArray(value)) return tagsOfList('tags', value)
  if (!isJsonObject(value)) throw invalidValue('tags', 'JSON as a string', text)
  return Object.fromEntries(Object.entries(value).map(([key, each]) => requireTag('tags', key, each)))
}

/** Adds tags to a function; a key it already has gets the new value. @throws {FssError} `FSS.0400`: too many */
export function addTags(
  draft: Draft,
  { account, namespace, name }: FunctionRecord,
  added: Tags,
  nowMs: number,
): void {
  const resource = `${namespace}/${name}`
  const before = draft.get('tags', tagsKey(account, resource))?.value
  const tags = { ...before?.tags, ...added }
  const count = Object.keys(tags).length
  if (count > QUOTA.tags)
    throw new FssError('FSS.0400', `a function may have no more than ${QUOTA.tags} tags`)
  putTags(draft, account, resource, tags, nowMs)
}

function requireTag(name: string, key: unknown, value: unknown): readonly [string, string] {
  if (typeof key !== 'string' || key.length === 0 || key.length > KEY_CHARS)
    throw invalidValue(name, `keys of 1 - ${KEY_CHARS} characters`, key)
  if (typeof value !== 'string' || value.length > VALUE_CHARS)
    throw invalidValue(`${name}.${key}`, `a string of at most ${VALUE_CHARS} characters`, value)
  return [key, value]
}
