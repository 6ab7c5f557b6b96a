import type { Definitions } from '../../engine/catalogue.ts'
import { tagsKey } from '../../engine/keys.ts'
import type { FunctionName } from '../../model/function.ts'
import { invalidValue, objectListField, textField } from './fields.ts'
import type { JsonObject } from './operation.ts'

/** Source of these three: the vendor's tag limits. Lengths in characters. */
const MAX_TAGS = 50
const KEY_CHARS = 127
const VALUE_CHARS = 255

export type Tags = Readonly<Record<string, string>>

/** `Tags` of a request, key to value. @throws {ScfError} */
export function readTags(params: JsonObject): Tags | undefined {
  const list = objectListField(params, 'Tags', { max: MAX_TAGS })
  if (list === undefined) return undefined
  const tags = new Map<string, string>()
  for (const entry of list) {
    const key = textField(entry, 'Key', { required: true, min: 1, max: KEY_CHARS })
    if (tags.has(key)) throw invalidValue('Tags', 'each key at most once', key)
    tags.set(key, textField(entry, 'Value', { max: VALUE_CHARS }) ?? '')
  }
  return Object.fromEntries(tags)
}

/** Tags as answers list them. */
export function tagsBody(tags: Tags): JsonObject[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }))
}

/** The tags of a function, whichever API gave them. */
export function tagsOf(definitions: Definitions, { account, namespace, name }: FunctionName): Tags {
  return definitions.get('tags', tagsKey(account, `${namespace}/${name}`))?.value.tags ?? {}
}
