import type { IncomingHttpHeaders } from 'node:http'
import { firstValues } from '../../intake/request-head.ts'
import { FssError } from './errors.ts'

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
  const query = firstValues(rawQuery)
  if (query === undefined) throw new FssError('FSS.1001', 'invalid query: it is malformed or too long')
  return query
}
