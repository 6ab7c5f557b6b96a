import { LATEST } from '../../model/function.ts'
import { FssError } from './errors.ts'

/** How the vendor writes the mutable state of a function. */
export const LATEST_VERSION = 'latest'

/** The package of functions that are named without one. */
export const DEFAULT_PACKAGE = 'default'

/** A function through one qualifier, as a caller names it. The names are well-formed, not known to exist. */
export interface FunctionUrn {
  readonly namespace: string
  readonly name: string
  /** A version's name, or an alias's without its `!`; absent: the latest state. */
  readonly qualifier?: string
  readonly isAlias: boolean
}

/** Where a URN is looked at: what one without a project means, and what one with a project must name. */
export interface UrnScope {
  readonly projectId: string
  readonly region: string
}

/** Functions made through other APIs are reached, too: their names have more letters than this vendor's. */
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,127}$/
const QUALIFIER = /^[A-Za-z0-9_$][A-Za-z0-9_.$-]{0,127}$/
const REGION = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/

/** A full URN is at most this long: longer text is refused before it is split. */
const MAX_URN_CHARS = 1024

/**
 * Reads a function's URN in each of its forms, percent-decoded.
 *
 * | parts | form |
 * |---|---|
 * | 8 | `urn:fss:{region}:{project}:function:{package}:{name}:{version}`, or `!{alias}` as the last |
 * | 7 | the same without a qualifier: the latest state |
 * | 4 | `{project}:{package}:{name}:{version}`, or `!{alias}` |
 * | 3 | `{project}:{package}:{name}` |
 * | 2 | `{package}:{name}` |
 * | 1 | `{name}`, of the package `default` |
 *
 * A project that is named must be the call's. Any region may be named: this server is every region.
 *
 * @throws {FssError} `FSS.1309`
 */
export function parseUrn(text: string, { projectId }: Pick<UrnScope, 'projectId'>): FunctionUrn {
  if (text.length > MAX_URN_CHARS) throw badUrn(text)
  const parts = text.split(':')
  switch (parts.length) {
    case 8:
    case 7: {
      const [urn, fss, region = '', project, kind, namespace, name, qualifier] = parts
      if (urn !== 'urn' || fss !== 'fss' || kind !== 'function' || !REGION.test(region)) throw badUrn(text)
      if (project !== projectId) throw foreignProject(text)
      return named(text, namespace, name, qualifier)
    }
    case 4:
    case 3: {
      const [project, namespace, name, qualifier] = parts
      if (project !== projectId) throw foreignProject(text)
      return named(text, namespace, name, qualifier)
    }
    case 2:
      return named(text, parts[0], parts[1], undefined)
    case 1:
      return named(text, DEFAULT_PACKAGE, text, undefined)
    default:
      throw badUrn(text)
  }
}

/**
 * The full URN of a function, always with its qualifier.
 *
 * @param version A version's name; {@link LATEST} and `latest` both mean the latest state. `!{alias}` for an alias.
 */
export function formatUrn(
  { region, projectId }: UrnScope,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  version: string = LATEST_VERSION,
): string {
  const shown = version === LATEST ? LATEST_VERSION : version
  return `urn:fss:${region}:${projectId}:function:${namespace}:${name}:${shown}`
}

function named(
  text: string,
  namespace: string | undefined,
  name: string | undefined,
  qualifier: string | undefined,
): FunctionUrn {
  if (namespace === undefined || name === undefined || !NAME.test(namespace) || !NAME.test(name))
    throw badUrn(text)
  if (qualifier === undefined || qualifier === LATEST_VERSION || qualifier === LATEST)
    return { namespace, name, isAlias: false }
  const isAlias = qualifier.startsWith('!')
  const bare = isAlias ? qualifier.slice(1) : qualifier
  if (!QUALIFIER.test(bare)) throw badUrn(text)
  return { namespace, name, qualifier: bare, isAlias }
}

function badUrn(text: string): FssError {
  const shown = text.length > 256 ? `${text.slice(0, 256)}…` : text
  return new FssError('FSS.1309', `invalid function URN '${shown}'`)
}

function foreignProject(text: string): FssError {
  const shown = text.length > 256 ? `${text.slice(0, 256)}…` : text
  return new FssError('FSS.1309', `invalid function URN '${shown}': its project is not that of the request`)
}
