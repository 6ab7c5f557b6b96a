import { isJsonObject } from '../../model/json.ts'
import type { AliasRecord } from '../../store/definition-store.ts'
import { extrasOf } from '../extras.ts'
import { ScfError } from './errors.ts'
import { invalidValue, numberField, objectField, objectListField, textField } from './fields.ts'
import { DIALECT, type JsonObject } from './operation.ts'
import { qualifierOf, shownQualifier } from './targets.ts'

/** Rules of one alias that are kept. The vendor publishes no number. */
const MAX_MATCHES = 20
const MAX_EXPRESSION_CHARS = 1024
const KEY = /^invoke\.headers\.[\x21-\x7e]{1,128}$/
const RANGE = /^([[(])\s*(-?\d{1,15})\s*,\s*(-?\d{1,15})\s*([\])])$/

/** A rule that sends calls of a certain routing key to another version. */
interface VersionMatch {
  /** As the engine names it. */
  readonly version: string
  /** `invoke.headers.<name>` */
  readonly key: string
  readonly method: 'exact' | 'range'
  readonly expression: string
}

/** Which calls go to another version than an alias's main one: a share of all, or those that match a rule. */
export interface Routing {
  readonly weights: AliasRecord['weights']
  readonly matches: readonly VersionMatch[]
}

/**
 * `RoutingConfig` of a request.
 *
 * @param mainVersion The version the alias leads to: the other one must differ from it.
 * @throws {ScfError} `InvalidParameterValue.RoutingConfig`, `InvalidParameterValue.AdditionalVersionWeights`
 */
export function readRouting(params: JsonObject, mainVersion: string): Routing {
  const code = 'InvalidParameterValue.RoutingConfig'
  const config = objectField(params, 'RoutingConfig', { code })
  if (config === undefined) return { weights: {}, matches: [] }
  const weights = readWeights(config)
  const matches = (objectListField(config, 'AddtionVersionMatchs', { max: MAX_MATCHES, code }) ?? []).map(
    readMatch,
  )
  const others = new Set([...Object.keys(weights), ...matches.map(({ version }) => version)])
  if (Object.keys(weights).length > 0 && matches.length > 0)
    throw new ScfError(code, 'an alias is routed by weights or by matches, not by both')
  if (others.size > 1) throw new ScfError(code, 'an alias may lead to one additional version at most')
  if (others.has(mainVersion))
    throw new ScfError(code, 'the additional version must differ from the version of the alias')
  return { weights, matches }
}

/** How an alias routes, as answers show it. */
export function routingBody(alias: AliasRecord): JsonObject {
  return {
    AdditionalVersionWeights: Object.entries(alias.weights).map(([version, weight]) => ({
      Version: shownQualifier(version),
      Weight: weight,
    })),
    AddtionVersionMatchs: matchesOf(alias).map(({ version, key, method, expression }) => ({
      Version: shownQualifier(version),
      Key: key,
      Method: method,
      Expression: expression,
    })),
  }
}

/**
 * The version that an alias with rules sends a call to: the first rule's that fits, else the main one.
 *
 * @param routingKey The `RoutingKey` of the call, decoded; empty when it has none.
 * @returns Undefined when the alias has no rules: its weights decide.
 */
export function matchedVersion(alias: AliasRecord, routingKey: JsonObject): string | undefined {
  const matches = matchesOf(alias)
  if (matches.length === 0) return undefined
  return matches.find((match) => fits(match, routingKey))?.version ?? alias.version
}

function readWeights(config: JsonObject): AliasRecord['weights'] {
  const code = 'InvalidParameterValue.AdditionalVersionWeights'
  const list = objectListField(config, 'AdditionalVersionWeights', { code }) ?? []
  if (list.length > 1) throw new ScfError(code, 'an alias may lead to one additional version at most')
  return Object.fromEntries(
    list.map((entry) => {
      const weight = numberField(entry, 'Weight', { required: true, min: 0, max: 1, code })
      return [requiredVersion(entry), weight ?? 0]
    }),
  )
}

function readMatch(entry: JsonObject): VersionMatch {
  const code = 'InvalidParameterValue.RoutingConfig'
  const method = textField(entry, 'Method', { required: true, code })
  if (method !== 'exact' && method !== 'range') throw invalidValue('Method', 'exact or range', method, code)
  const expression = textField(entry, 'Expression', { required: true, max: MAX_EXPRESSION_CHARS, code })
  if (method === 'range' && !RANGE.test(expression))
    throw invalidValue('Expression', '(a,b) or [a,b] with whole numbers', expression, code)
  return {
    version: requiredVersion(entry),
    key: textField(entry, 'Key', { required: true, pattern: KEY, code }),
    method,
    expression,
  }
}

function requiredVersion(entry: JsonObject): string {
  const code = 'InvalidParameterValue.RoutingConfig'
  const version = qualifierOf(entry, 'Version', { required: true, code })
  if (version === undefined) throw invalidValue('Version', 'a version', '', code)
  return version
}

function fits({ key, method, expression }: VersionMatch, routingKey: JsonObject): boolean {
  const name = key.slice('invoke.headers.'.length)
  const value = Object.hasOwn(routingKey, name) ? routingKey[name] : undefined
  if (typeof value !== 'string' && typeof value !== 'number') return false
  if (method === 'exact') return String(value) === expression
  const [, open, from, to, close] = RANGE.exec(expression) ?? []
  const number = Number(value)
  if (!/^-?\d{1,15}$/.test(String(value)) || from === undefined || to === undefined) return false
  const isAbove = open === '[' ? number >= Number(from) : number > Number(from)
  return isAbove && (close === ']' ? number <= Number(to) : number < Number(to))
}

function matchesOf(alias: AliasRecord): readonly VersionMatch[] {
  const matches = extrasOf(alias.extras, DIALECT)['matches']
  return Array.isArray(matches) ? matches.filter(isMatch) : []
}

function isMatch(value: unknown): value is VersionMatch {
  return (
    isJsonObject(value) &&
    ['version', 'key', 'expression'].every((member) => typeof value[member] === 'string') &&
    (value['method'] === 'exact' || value['method'] === 'range')
  )
}
