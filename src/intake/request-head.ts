import { parseQuery } from '../auth/query.ts'

/** Most pairs of a query that are looked at. */
export const MAX_QUERY_PAIRS = 1000

const HOST = /^[A-Za-z0-9.:[\]_-]{1,255}$/
const NO_QUERY: ReadonlyMap<string, string> = new Map<string, string>()

/**
 * Decoded query parameters; a repeated name keeps its first value.
 *
 * @param rawQuery As sent, without the `?`.
 * @returns undefined when it is malformed or has more than {@link MAX_QUERY_PAIRS} pairs
 */
export function firstValues(rawQuery: string): ReadonlyMap<string, string> | undefined {
  if (rawQuery === '') return NO_QUERY
  const pairs = parseQuery(rawQuery, MAX_QUERY_PAIRS)
  if (pairs === undefined) return undefined
  const query = new Map<string, string>()
  for (const { key, value } of pairs) if (!query.has(key)) query.set(key, value)
  return query
}

/**
 * `http://host:port` as the client reached us, for addresses in answers: by its Host header where that can be one.
 *
 * @param ownPort The listener's port, undefined while unknown.
 */
export function originOf(host: string | undefined, ownPort: number | undefined): string {
  return `http://${host !== undefined && HOST.test(host) ? host : `localhost${portSuffix(ownPort)}`}`
}

/** What follows a host's name for that port: nothing for 80 and for one that is unknown. */
export function portSuffix(port: number | undefined): string {
  return port === undefined || port === 80 ? '' : `:${port}`
}
