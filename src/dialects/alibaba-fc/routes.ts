import { percentDecode } from '../../auth/percent.ts'
import { CODE_LINK_PREFIX } from '../../intake/code-link.ts'
import { FcError } from './errors.ts'
import { splitServiceSegment } from './names.ts'
import type { ApiVersion } from './operation.ts'
import { OPERATIONS, UNSUPPORTED, type OperationDefinition } from './operations.ts'

const API_2016 = '2016-08-15'
const API_2021 = '2021-04-06'
const API_2023 = '2023-03-30'
const BASE_CHARS = API_2016.length + 1

/** Where a request leads: decoded, with the qualifier taken off the service segment. */
export interface Route {
  readonly api: ApiVersion
  readonly definition: OperationDefinition
  readonly params: Readonly<Record<string, string>>
  readonly qualifier: string | undefined
}

/** An invocation's path: the hot path, matched by hand before any table is looked at. */
export interface InvokePath {
  readonly service: string
  readonly qualifier: string | undefined
  readonly functionName: string
}

/** Whether a path is one of this dialect's. */
export function isDialectPath(rawPath: string): boolean {
  return (
    isUnder(rawPath, `/${API_2016}`) ||
    isUnder(rawPath, `/${API_2021}`) ||
    isUnder(rawPath, `/${API_2023}`) ||
    isUnder(rawPath, '/services') ||
    rawPath.startsWith(CODE_LINK_PREFIX)
  )
}

/**
 * Recognises POST `{base}/services/{service}/functions/{function}[/invocations]`; `{base}` may be absent. The short
 * form without `/invocations` is the one the vendor's pages print.
 *
 * @throws {FcError} InvalidArgument for a segment that is not valid percent-encoding
 */
export function matchInvoke(method: string, rawPath: string): InvokePath | undefined {
  if (method !== 'POST') return undefined
  const start = rawPath.startsWith('/services/') ? 0 : BASE_CHARS
  if (start !== 0 && apiOf(rawPath) === undefined) return undefined
  if (!rawPath.startsWith('/services/', start)) return undefined
  const serviceStart = start + '/services/'.length
  const serviceEnd = rawPath.indexOf('/', serviceStart)
  if (serviceEnd === -1 || !rawPath.startsWith('/functions/', serviceEnd)) return undefined
  const nameStart = serviceEnd + '/functions/'.length
  const slash = rawPath.indexOf('/', nameStart)
  const nameEnd = slash === -1 ? rawPath.length : slash
  if (nameEnd === nameStart) return undefined
  if (slash !== -1 && !(rawPath.endsWith('/invocations') && rawPath.length === slash + '/invocations'.length))
    return undefined
  const { service, qualifier } = splitServiceSegment(decode(rawPath.slice(serviceStart, serviceEnd)))
  return { service, qualifier, functionName: decode(rawPath.slice(nameStart, nameEnd)) }
}

/**
 * Finds the operation of a request. Segments are split before they are decoded: an encoded slash stays in its segment.
 *
 * @throws {FcError} PathNotSupported, InvalidArgument
 */
export function matchOperation(method: string, rawPath: string): Route {
  const api = rawPath.startsWith('/services') ? API_2021 : apiOf(rawPath)
  if (api === undefined) {
    if (isUnder(rawPath, `/${API_2023}`))
      throw new FcError('PathNotSupported', `API version ${API_2023} is not supported by this server yet`)
    throw pathNotSupported(method, rawPath)
  }
  const segments = rawPath.split('/').slice(rawPath.startsWith('/services') ? 1 : 2)
  for (const { definition, pattern } of OPERATION_PATTERNS) {
    if (definition.method !== method || !matches(pattern, segments)) continue
    const { params, qualifier } = paramsOf(pattern, segments)
    return { api, definition, params, qualifier }
  }
  for (const { name, method: unsupportedMethod, pattern } of UNSUPPORTED_PATTERNS)
    if ((unsupportedMethod === 'ANY' || unsupportedMethod === method) && matches(pattern, segments))
      throw new FcError(
        'PathNotSupported',
        `'${method}' against '${shown(rawPath)}' is not supported: this server has no ${name} yet`,
      )
  throw pathNotSupported(method, rawPath)
}

type Pattern = readonly string[]

const OPERATION_PATTERNS = Object.values(OPERATIONS).map((definition) => ({
  definition,
  pattern: segmentsOf(definition.pattern),
}))

const UNSUPPORTED_PATTERNS = UNSUPPORTED.map(([name, method, pattern]) => ({
  name,
  method,
  pattern: segmentsOf(pattern),
}))

function segmentsOf(pattern: string): Pattern {
  return pattern.slice(1).split('/')
}

/** A last segment `*` matches any rest; `:name` matches one segment that is not empty. */
function matches(pattern: Pattern, segments: readonly string[]): boolean {
  const open = pattern.at(-1) === '*'
  if (open ? segments.length < pattern.length : segments.length !== pattern.length) return false
  return pattern.every((part, index) =>
    part.startsWith(':') ? segments[index] !== '' : part === '*' || part === segments[index],
  )
}

function paramsOf(
  pattern: Pattern,
  segments: readonly string[],
): { params: Readonly<Record<string, string>>; qualifier: string | undefined } {
  const params: Record<string, string> = {}
  let qualifier: string | undefined
  pattern.forEach((part, index) => {
    if (!part.startsWith(':')) return
    const text = decode(segments[index] ?? '')
    if (part !== ':service') {
      params[part.slice(1)] = text
      return
    }
    const split = splitServiceSegment(text)
    params['service'] = split.service
    qualifier = split.qualifier
  })
  return { params, qualifier }
}

function apiOf(rawPath: string): ApiVersion | undefined {
  if (rawPath.length > BASE_CHARS && rawPath.charCodeAt(BASE_CHARS) !== 0x2f) return undefined
  if (rawPath.startsWith(API_2016, 1)) return API_2016
  return rawPath.startsWith(API_2021, 1) ? API_2021 : undefined
}

function isUnder(rawPath: string, base: string): boolean {
  return rawPath.startsWith(base) && (rawPath.length === base.length || rawPath[base.length] === '/')
}

function decode(segment: string): string {
  const text = percentDecode(segment)
  if (text === undefined)
    throw new FcError('InvalidArgument', `the path segment '${shown(segment)}' is not percent-encoded UTF-8`)
  return text
}

function pathNotSupported(method: string, rawPath: string): FcError {
  return new FcError('PathNotSupported', `'${method}' against '${shown(rawPath)}' is not supported`)
}

function shown(text: string): string {
  return text.length > 256 ? `${text.slice(0, 256)}…` : text
}
