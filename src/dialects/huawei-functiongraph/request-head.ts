import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { parseQuery } from '../../auth/query.ts'
import { FssError } from './errors.ts'

/** Most pairs of a query that are looked at. */
export const MAX_QUERY_PAIRS = 1000

const HOST = /^[A-Za-z0-9.:[\]_-]{1,255}$/

/** An id for one request: a UUID, which invocations go by. */
export const newRequestId = (): string => randomUUID()

/** The same id as the gateway writes it into `X-Request-Id`: 32 lower-case hexadecimal digits. */
export function gatewayId(requestId: string): string {
  return requestId.replaceAll('-', '')
}

/** A header's text, trimmed; an empty one counts as absent. @param name In lower case, from this program. */
export function headerText(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' ? value.trim() || undefined : undefined
}

/** Decoded query parameters; a repeated name keeps its first value. @throws {FssError} FSS.1001 */
export function readQuery(rawQuery: string): ReadonlyMap<string, string> {
  if (rawQuery === '') return NO_QUERY
  const pairs = parseQuery(rawQuery, MAX_QUERY_PAIRS)
  if (pairs === undefined) throw new FssError('FSS.1001', 'invalid query: it is malformed or too long')
  const query = new Map<string, string>()
  for (const { key, value } of pairs) if (!query.has(key)) query.set(key, value)
  return query
}

/** `http://host:port` as the client reached us. @param ownPort The listener's port, undefined while unknown. */
export function originOf(headers: IncomingHttpHeaders, ownPort: number | undefined): string {
  const { host } = headers
  if (host !== undefined && HOST.test(host)) return `http://${host}`
  return ownPort === undefined ? 'http://localhost' : `http://localhost:${ownPort}`
}

const NO_QUERY: ReadonlyMap<string, string> = new Map<string, string>()
