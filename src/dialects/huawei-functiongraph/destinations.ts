import type { InvokeTarget } from '../../model/invocation.ts'
import { isJsonObject, parsedJson } from '../../model/json.ts'
import type { Destination, Destinations, DestinationTarget } from '../../store/outbox.ts'
import { functionNamed } from '../function-names.ts'
import { FssError } from './errors.ts'
import { integerField, objectField, required, stringField } from './fields.ts'
import { DIALECT, type Call, type JsonObject } from './operation.ts'
import { parseUrn } from './urn.ts'

/** A destination as it is configured: `param` is JSON as a string, and shown again as it was written. */
export interface WrittenDestination extends JsonObject {
  readonly destination: string
  readonly param: string
}

/** What `param` of each kind of destination must and may have. */
interface Kind {
  /** The member that it cannot do without, and its grammar. */
  readonly member: string
  readonly grammar: RegExp
}

/** Sources: the vendor's pages on asynchronous configuration, and those of each service on its names. */
const KINDS: Readonly<Record<string, Kind>> = {
  OBS: { member: 'bucket', grammar: /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/ },
  SMN: {
    member: 'topic_urn',
    grammar: /^urn:smn:[A-Za-z0-9_-]{1,64}:[A-Za-z0-9_-]{1,64}:[A-Za-z0-9][A-Za-z0-9_-]{0,254}$/,
  },
  DIS: { member: 'stream_name', grammar: /^[A-Za-z0-9_-]{1,64}$/ },
  FunctionGraph: { member: 'func_urn', grammar: /^[\x21-\x7e]{1,1024}$/ },
}

/** Longest name of an object, and the days that objects are kept, 0 for ever. Source: as above. */
const MAX_PREFIX_CHARS = 1024
const MAX_EXPIRES_DAYS = 365

/** Who configures: what a URN with a project must name, and whose functions others may be. */
type Scope = Pick<Call, 'projectId' | 'accountId'>

/**
 * The destinations of a configuration, by the API's names; those that it leaves out are absent.
 *
 * @throws {FssError} `FSS.0400`
 */
export function readDestinations(body: JsonObject, scope: Scope): JsonObject {
  const given = objectField(body, 'destination_config') ?? {}
  return Object.fromEntries(
    ['on_success', 'on_failure'].flatMap((name) => {
      const destination = readDestination(given, name, scope)
      return destination === undefined ? [] : [[name, destination]]
    }),
  )
}

/** Whom the endings of a function's calls are told, of the `destination_config` that was stored. */
export function destinationsOf(stored: unknown, account: string): Destinations | undefined {
  if (!isJsonObject(stored)) return undefined
  const onSuccess = destinationOf(stored['on_success'], account)
  const onFailure = destinationOf(stored['on_failure'], account)
  if (onSuccess === undefined && onFailure === undefined) return undefined
  return {
    ...(onSuccess === undefined ? {} : { onSuccess }),
    ...(onFailure === undefined ? {} : { onFailure }),
  }
}

function readDestination(
  destinations: JsonObject,
  name: string,
  { projectId, accountId }: Scope,
): WrittenDestination | undefined {
  const given = objectField(destinations, name)
  if (given === undefined) return undefined
  const destination = stringField(given, 'destination', { max: 64 }) ?? ''
  const param = stringField(given, 'param', { max: 4096 }) ?? ''
  // Clients that want no destination write it as they write absent values.
  if (destination === '' && param === '') return undefined
  const place = `destination_config.${name}`
  const kind = kindOf(destination)
  if (kind === undefined)
    throw new FssError(
      'FSS.0400',
      `invalid parameter ${place}.destination (allowed: ${Object.keys(KINDS).join(' | ')})`,
    )
  const parameters = parsedJson(param)
  if (!isJsonObject(parameters))
    throw new FssError('FSS.0400', `invalid parameter ${place}.param: it must be JSON as a string`)
  const value = required(stringField(parameters, kind.member), `${place}.param.${kind.member}`)
  if (
    !kind.grammar.test(value) ||
    (kind.member === 'func_urn' && functionIn(value, projectId, accountId) === undefined)
  )
    throw new FssError('FSS.0400', `invalid parameter ${place}.param.${kind.member}`)
  stringField(parameters, 'prefix', { max: MAX_PREFIX_CHARS })
  integerField(parameters, 'expires', { min: 0, max: MAX_EXPIRES_DAYS })
  return { destination, param }
}

function kindOf(destination: string): Kind | undefined {
  return Object.hasOwn(KINDS, destination) ? KINDS[destination] : undefined
}

function destinationOf(stored: unknown, account: string): Destination | undefined {
  if (!isJsonObject(stored)) return undefined
  const { destination, param } = stored
  if (typeof destination !== 'string' || typeof param !== 'string') return undefined
  return { dialect: DIALECT, target: targetOf(destination, param, account) }
}

/** What only the vendor has cannot be told anything: it is named, so that it can be seen what was not. */
function targetOf(destination: string, param: string, account: string): DestinationTarget {
  const parameters = parsedJson(param)
  const member = kindOf(destination)?.member ?? ''
  const value = isJsonObject(parameters) ? parameters[member] : undefined
  const name = typeof value === 'string' ? value : param
  // Its project was checked when it was configured; an account's functions are the same through each of its projects.
  const target = destination === 'FunctionGraph' ? functionIn(name, projectIn(name), account) : undefined
  return target === undefined
    ? { kind: 'unreachable', name: `${destination} ${name}` }
    : { kind: 'function', ...target }
}

/** The project that a URN names, in any of its forms; empty where it names none. */
function projectIn(urn: string): string {
  const parts = urn.split(':')
  return (parts.length >= 7 ? parts[3] : parts[0]) ?? ''
}

/** A function by a URN in any of its forms, of that project, or by the name in full that another API has for one of the account. */
function functionIn(text: string, projectId: string, account: string): InvokeTarget | undefined {
  if (!text.startsWith('urn:')) {
    const named = functionNamed(text, account)
    if (named !== undefined) return named.kind === 'function' ? named.target : undefined
  }
  try {
    const { namespace, name, qualifier } = parseUrn(text, { projectId })
    return { account, namespace, name, ...(qualifier === undefined ? {} : { qualifier }) }
  } catch {
    return undefined
  }
}
