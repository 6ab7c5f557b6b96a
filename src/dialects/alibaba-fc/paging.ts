import { FcError } from './errors.ts'
import { queryInteger } from './fields.ts'

/** Items of a page when the request names no `limit`, and the most it may name. Source: the vendor's list pages. */
const DEFAULT_PAGE_ITEMS = 20
const MAX_PAGE_ITEMS = 100

/** Longest `prefix`, `startKey` or `nextToken`: more than any key has, characters. */
const MAX_KEY_CHARS = 1024

interface Page<T> {
  readonly items: readonly T[]
  /** Key of the first item that is not on this page; absent on the last one. */
  readonly nextToken?: string
}

/** Negative when key `a` comes before key `b` in the list. */
export type KeyOrder = (a: string, b: string) => number

/** Keys ascending by their characters, the order of every list but that of versions. */
const byText: KeyOrder = (a, b) => (a < b ? -1 : a > b ? 1 : 0)

/**
 * One page of a list as the query asks for it.
 *
 * `limit` 1 … 100, default 20; `prefix` keeps keys that begin with it; `startKey` is the first key wanted, whether
 * or not an item has it; `nextToken` is such a key from the page before and wins over `startKey`. Empty texts mean
 * "not given".
 *
 * @param items In any order.
 * @param keyOf The text that `prefix`, `startKey` and `nextToken` are compared with; unique per item.
 * @throws {FcError} InvalidArgument
 */
export function page<T>(
  query: ReadonlyMap<string, string>,
  items: readonly T[],
  keyOf: (item: T) => string,
  order: KeyOrder = byText,
): Page<T> {
  const limit = queryInteger(query, 'limit', { min: 1, max: MAX_PAGE_ITEMS }) ?? DEFAULT_PAGE_ITEMS
  const prefix = keyText(query, 'prefix')
  const startKey = keyText(query, 'startKey')
  const from = keyText(query, 'nextToken') || startKey
  const wanted = items
    .map((item) => ({ item, key: keyOf(item) }))
    .filter(({ key }) => key.startsWith(prefix) && (from === '' || order(key, from) >= 0))
    .sort((a, b) => order(a.key, b.key))
  const next = wanted[limit]
  return {
    items: wanted.slice(0, limit).map(({ item }) => item),
    ...(next !== undefined && { nextToken: next.key }),
  }
}

function keyText(query: ReadonlyMap<string, string>, name: string): string {
  const text = query.get(name) ?? ''
  if (text.length > MAX_KEY_CHARS)
    throw new FcError(
      'InvalidArgument',
      `${name} is too long (max: ${MAX_KEY_CHARS}, actual: ${text.length})`,
    )
  return text
}
