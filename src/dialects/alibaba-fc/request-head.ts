import type { IncomingHttpHeaders } from 'node:http'
import { firstValues, originOf as originOfHost, portSuffix } from '../../intake/request-head.ts'
import { newRequestId } from '../../model/request-id.ts'
import { FcError } from './errors.ts'

const TRACE_ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/

/**
 * A header of the vendor's: without the quotes that clients of some old generators put around values. An empty one
 * counts as absent.
 *
 * @param name In lower case, from this program.
 */
export function headerText(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name]
  if (typeof value !== 'string' || value === '') return undefined
  const text = value.trim()
  const quoted = text.length > 1 && text.startsWith('"') && text.endsWith('"')
  return (quoted ? text.slice(1, -1) : text) || undefined
}

/** The id a request goes by: its caller's trace id where that looks like an id, else a new one. */
export function requestIdOf(headers: IncomingHttpHeaders): string {
  const traceId = headerText(headers, 'x-fc-trace-id')
  return traceId !== undefined && TRACE_ID.test(traceId) ? traceId : newRequestId()
}

/** Decoded query parameters; a repeated name keeps its first value. @throws {FcError} InvalidArgument */
export function readQuery(rawQuery: string): ReadonlyMap<string, string> {
  const query = firstValues(rawQuery)
  if (query === undefined) throw new FcError('InvalidArgument', 'the query is malformed or too long')
  return query
}

/**
 * `http://host:port` as the client reached us.
 *
 * @param ownPort The listener's port, undefined while unknown: the vendor's Node.js client of the older API leaves the
 *   port out of its Host header, whatever it is, and would be given a link that leads elsewhere.
 */
export function originOf(headers: IncomingHttpHeaders, ownPort: number | undefined): string {
  const { host } = headers
  const origin = originOfHost(host, ownPort)
  const isPortless =
    host !== undefined &&
    headers['user-agent']?.includes('SDK(@alicloud/fc2@') === true &&
    !/:\d+$/.test(origin)
  return isPortless ? `${origin}${portSuffix(ownPort)}` : origin
}
