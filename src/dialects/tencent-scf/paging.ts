import type { ScfCode } from './errors.ts'
import { integerField, invalidValue, textField } from './fields.ts'
import type { JsonObject } from './operation.ts'

/** Entries of a page when the request names no `Limit`. Source: the vendor's list pages. */
const DEFAULT_PAGE_ENTRIES = 20

export interface Page {
  readonly offset: number
  readonly limit: number
}

/**
 * `Offset` and `Limit` of a request. A large limit is taken: the vendor's tools ask for hundreds.
 *
 * @param options.maxLimit A larger limit counts as this one. Default: none does.
 * @throws {ScfError}
 */
export function pageOf(params: JsonObject, options: { readonly maxLimit?: number } = {}): Page {
  const { maxLimit = Number.MAX_SAFE_INTEGER } = options
  return {
    offset: integerField(params, 'Offset', { code: 'InvalidParameterValue.Offset' }) ?? 0,
    limit: Math.min(
      integerField(params, 'Limit', { code: 'InvalidParameterValue.Limit' }) ?? DEFAULT_PAGE_ENTRIES,
      maxLimit,
    ),
  }
}

/** The entries of a list that are on a page. */
export function onPage<T>(entries: readonly T[], { offset, limit }: Page): readonly T[] {
  return entries.slice(offset, offset + limit)
}

/**
 * Which of a few things a list is ordered by, and which way.
 *
 * @param keys The words the request may name, in any case and with `_` or without; each with what it means.
 * @param defaults What holds where the request names none.
 * @throws {ScfError}
 */
export function orderOf<K extends string>(
  params: JsonObject,
  parameter: 'Orderby' | 'OrderBy',
  keys: Readonly<Record<string, K>>,
  defaults: { readonly key: K; readonly descending: boolean },
): { readonly key: K; readonly descending: boolean } {
  const code: ScfCode = `InvalidParameterValue.${parameter}`
  const named = textField(params, parameter, { max: 64, code })
  const order = textField(params, 'Order', { max: 64, code: 'InvalidParameterValue.Order' })
  const word = named === undefined || named === '' ? undefined : plain(named)
  const known = Object.entries(keys).find(([key]) => plain(key) === word)
  if (word !== undefined && known === undefined)
    throw invalidValue(parameter, Object.keys(keys).join(' or '), named, code)
  return { key: known?.[1] ?? defaults.key, descending: isDescending(order) ?? defaults.descending }
}

/** Sorted by a number or a text; entries that are equal in it keep their order. */
export function inOrder<T>(
  entries: readonly T[],
  keyOf: (entry: T) => number | string,
  descending: boolean,
): readonly T[] {
  const sign = descending ? -1 : 1
  return entries
    .map((entry) => ({ entry, key: keyOf(entry) }))
    .sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : 0))
    .map(({ entry }) => entry)
}

/** Old pages write `start_time`, others `startTime`. */
function plain(word: string): string {
  return word.toLowerCase().replaceAll('_', '')
}

function isDescending(order: string | undefined): boolean | undefined {
  const word = order?.toUpperCase() ?? ''
  if (word === '') return undefined
  // One page of the vendor's misprints `acs`.
  if (word === 'ASC' || word === 'ACS') return false
  if (word === 'DESC') return true
  throw invalidValue('Order', 'ASC or DESC', order, 'InvalidParameterValue.Order')
}
