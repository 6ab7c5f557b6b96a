import { formDecode } from './percent.ts'

/** One `key=value` of a query, as sent and decoded. */
export interface QueryPair {
  readonly rawKey: string
  /** Undefined when the pair was sent without `=`. */
  readonly rawValue: string | undefined
  readonly key: string
  /** Empty when the pair was sent without `=`. */
  readonly value: string
}

/**
 * Splits a raw query into its pairs; repeats and order are kept, empty pieces (`&&`) are dropped.
 *
 * @param rawQuery As sent, without the `?`.
 * @param maxPairs More than this many pairs are refused.
 * @returns Undefined when a piece is malformed or there are too many.
 */
export function parseQuery(rawQuery: string, maxPairs: number): QueryPair[] | undefined {
  const pairs: QueryPair[] = []
  let start = 0
  while (start < rawQuery.length) {
    const ampersand = rawQuery.indexOf('&', start)
    const end = ampersand === -1 ? rawQuery.length : ampersand
    if (end > start) {
      const pair = parsePair(rawQuery.slice(start, end))
      if (pair === undefined || pairs.length === maxPairs) return undefined
      pairs.push(pair)
    }
    start = end + 1
  }
  return pairs
}

function parsePair(piece: string): QueryPair | undefined {
  const equals = piece.indexOf('=')
  const rawKey = equals === -1 ? piece : piece.slice(0, equals)
  const rawValue = equals === -1 ? undefined : piece.slice(equals + 1)
  const key = formDecode(rawKey)
  const value = rawValue === undefined ? '' : formDecode(rawValue)
  return key === undefined || value === undefined ? undefined : { rawKey, rawValue, key, value }
}
