import { memoised } from '../../auth/memoised.ts'
import { percentDecode } from '../../auth/percent.ts'
import { FssError } from './errors.ts'
import { OPERATIONS, UNSUPPORTED, type OperationDefinition } from './operations.ts'
import { parseUrn, type FunctionUrn } from './urn.ts'

/** Where a request leads; parameters are percent-decoded. */
export interface Route {
  readonly definition: OperationDefinition
  readonly projectId: string
  readonly params: Readonly<Record<string, string>>
}

/** An invocation's path: the hot path, matched by hand before any table is looked at. */
export class InvokePath {
  readonly mode: 'sync' | 'async' | 'reserved'
  readonly projectId: string
  /** Percent-decoded, and not looked at before the sender is known. */
  readonly #urn: string
  #target: FunctionUrn | undefined

  constructor(mode: InvokePath['mode'], projectId: string, urn: string) {
    this.mode = mode
    this.projectId = projectId
    this.#urn = urn
  }

  /** The function it names. @throws {FssError} `FSS.1309` */
  get target(): FunctionUrn {
    return (this.#target ??= parseUrn(this.#urn, this))
  }
}

const BASE = '/v2/'
const FUNCTIONS = '/fgs/functions/'

/** What the vendor's APIs put behind `/v2/{project}`; `/functions` is the tags', `/groups` the log service's. */
const UNDER_PROJECT = ['fgs', 'functions', 'groups']

/** Identity and access management: paths without a project. */
const IAM = ['/v3', '/v3.0']

/** Whether a path is one of this dialect's. */
export function isDialectPath(rawPath: string): boolean {
  if (isIamPath(rawPath)) return true
  if (!rawPath.startsWith(BASE)) return false
  const slash = rawPath.indexOf('/', BASE.length)
  return slash > BASE.length && UNDER_PROJECT.some((segment) => isUnder(rawPath, segment, slash + 1))
}

/** Whether a path belongs to identity and access management. */
export function isIamPath(rawPath: string): boolean {
  return IAM.some((base) => isUnder(rawPath, base, 0))
}

/**
 * Recognises POST `/v2/{project}/fgs/functions/{urn}/invocations`, `…/invocations-async` and `…/reserved-invocations`.
 *
 * @throws {FssError} FSS.0400 for a segment that is not percent-encoded UTF-8, and for a project id that cannot be one
 */
export function matchInvoke(method: string, rawPath: string): InvokePath | undefined {
  return method === 'POST' && rawPath.startsWith(BASE) ? invokePathOf(rawPath) : undefined
}

/** Calls of one function have the same path again and again. */
const invokePathOf = memoised(readInvokePath, { entries: 512, characters: 512 })

function readInvokePath(rawPath: string): InvokePath | undefined {
  const projectEnd = rawPath.indexOf('/', BASE.length)
  if (projectEnd === -1 || !rawPath.startsWith(FUNCTIONS, projectEnd)) return undefined
  const urnStart = projectEnd + FUNCTIONS.length
  const urnEnd = rawPath.indexOf('/', urnStart)
  if (urnEnd <= urnStart) return undefined
  const mode = INVOKE_MODES.get(rawPath.slice(urnEnd + 1))
  if (mode === undefined) return undefined
  return new InvokePath(
    mode,
    requireProjectId(decode(rawPath.slice(BASE.length, projectEnd))),
    decode(rawPath.slice(urnStart, urnEnd)),
  )
}

/**
 * Finds the operation of a request. Segments are split before they are decoded: an encoded slash stays in its segment.
 * Fixed segments go before parameters, so `statistics` below the functions is none of their names.
 *
 * @throws {FssError} APIGW.0101, FSS.0400
 */
export function matchOperation(method: string, rawPath: string): Route {
  const [, version, project = '', ...segments] = rawPath.split('/', MAX_SEGMENTS)
  const found = version === 'v2' ? find(OPERATION_TREE, method, segments, 0) : undefined
  if (found !== undefined) {
    const { definition, pattern } = found
    const params: Record<string, string> = {}
    pattern.forEach((part, index) => {
      if (part.startsWith(':')) params[part.slice(1)] = decode(segments[index] ?? '')
    })
    return { definition, projectId: requireProjectId(decode(project)), params }
  }
  for (const { name, method: unsupportedMethod, pattern } of UNSUPPORTED_PATTERNS)
    if ((unsupportedMethod === 'ANY' || unsupportedMethod === method) && matches(pattern, segments))
      throw new FssError(
        'APIGW.0101',
        `The API does not exist or has not been published: this server has no ${name} yet`,
      )
  throw apiUnknown(method, rawPath)
}

/** The gateway's sentence for a path that leads nowhere. */
export function apiUnknown(method: string, rawPath: string): FssError {
  return new FssError(
    'APIGW.0101',
    `The API does not exist or has not been published in the environment (${method} ${shown(rawPath)})`,
  )
}

/** One more than the longest pattern has: a longer path matches none. */
const MAX_SEGMENTS = 12

/** The vendor's have 32 hexadecimal digits; any other word names a project as well, none is more than a name here. */
const PROJECT_ID = /^[A-Za-z0-9_-]{1,64}$/

const INVOKE_MODES: ReadonlyMap<string, InvokePath['mode']> = new Map([
  ['invocations', 'sync'],
  ['invocations-async', 'async'],
  ['reserved-invocations', 'reserved'],
])

interface Leaf {
  readonly definition: OperationDefinition
  readonly pattern: readonly string[]
}

interface Branch {
  readonly fixed: Map<string, Branch>
  parameter: Branch | undefined
  readonly byMethod: Map<string, Leaf>
}

const OPERATION_TREE = treeOf(Object.values(OPERATIONS))

const UNSUPPORTED_PATTERNS = UNSUPPORTED.map(([name, method, pattern]) => ({
  name,
  method,
  pattern: segmentsOf(pattern),
}))

function treeOf(definitions: readonly OperationDefinition[]): Branch {
  const root = newBranch()
  for (const definition of definitions) {
    const pattern = segmentsOf(definition.pattern)
    let branch = root
    for (const part of pattern) {
      let next = part.startsWith(':') ? branch.parameter : branch.fixed.get(part)
      if (next === undefined) {
        next = newBranch()
        if (part.startsWith(':')) branch.parameter = next
        else branch.fixed.set(part, next)
      }
      branch = next
    }
    branch.byMethod.set(definition.method, { definition, pattern })
  }
  return root
}

function newBranch(): Branch {
  return { fixed: new Map(), parameter: undefined, byMethod: new Map() }
}

function find(branch: Branch, method: string, segments: readonly string[], at: number): Leaf | undefined {
  const segment = segments[at]
  if (segment === undefined) return branch.byMethod.get(method)
  const fixed = branch.fixed.get(segment)
  const found = fixed === undefined ? undefined : find(fixed, method, segments, at + 1)
  if (found !== undefined || branch.parameter === undefined || segment === '') return found
  return find(branch.parameter, method, segments, at + 1)
}

/** A last part `*` matches any rest; `:name` matches one segment that is not empty. */
function matches(pattern: readonly string[], segments: readonly string[]): boolean {
  const open = pattern.at(-1) === '*'
  if (open ? segments.length < pattern.length : segments.length !== pattern.length) return false
  return pattern.every((part, index) =>
    part.startsWith(':') ? segments[index] !== '' : part === '*' || part === segments[index],
  )
}

function segmentsOf(pattern: string): readonly string[] {
  return pattern.slice(1).split('/')
}

/** Whether a path has that word at `from`, as a whole segment. */
function isUnder(rawPath: string, word: string, from: number): boolean {
  if (!rawPath.startsWith(word, from)) return false
  const end = from + word.length
  return rawPath.length === end || rawPath.charCodeAt(end) === 0x2f
}

function requireProjectId(text: string): string {
  if (!PROJECT_ID.test(text))
    throw new FssError(
      'FSS.0400',
      `invalid parameter: '${shown(text)}' is not a project id; give the client one, any will do`,
    )
  return text
}

function decode(segment: string): string {
  const text = percentDecode(segment)
  if (text === undefined)
    throw new FssError(
      'FSS.0400',
      `invalid parameter: the path segment '${shown(segment)}' is not percent-encoded UTF-8`,
    )
  return text
}

function shown(text: string): string {
  return text.length > 256 ? `${text.slice(0, 256)}…` : text
}
