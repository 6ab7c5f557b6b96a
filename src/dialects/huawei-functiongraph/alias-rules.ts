import type { IncomingHttpHeaders } from 'node:http'
import { isJsonObject } from '../../model/json.ts'
import type { AliasRecord } from '../../store/definition-store.ts'
import { extrasOf } from '../extras.ts'
import { DIALECT, type JsonObject } from './operation.ts'

/**
 * The version that an alias's rules choose for a request; undefined where it has none, and its weights decide.
 *
 * `additional_version_strategy` has one entry: a version, and rules over the request's headers and cookies that all (`and`) or
 * one of which (`or`) must hold for it. Where they do not, the alias's main version is called.
 */
export function versionByRules(
  { extras, version }: AliasRecord,
  headers: IncomingHttpHeaders,
): string | undefined {
  const strategy = extrasOf(extras, DIALECT)['additional_version_strategy']
  if (!isJsonObject(strategy)) return undefined
  const [entry] = Object.entries(strategy)
  if (entry === undefined) return undefined
  const [additional, condition] = entry
  return isJsonObject(condition) && holds(condition, headers) ? additional : version
}

function holds(condition: JsonObject, headers: IncomingHttpHeaders): boolean {
  const { combine_type: combine, rules } = condition
  if (!Array.isArray(rules) || rules.length === 0) return false
  const ruleHolds = (rule: unknown): boolean => isJsonObject(rule) && fits(rule, headers)
  return combine === 'or' ? rules.some(ruleHolds) : rules.every(ruleHolds)
}

function fits(rule: JsonObject, headers: IncomingHttpHeaders): boolean {
  const { rule_type: type, param, op, value } = rule
  if (typeof type !== 'string' || typeof param !== 'string' || typeof value !== 'string') return false
  const actual = type.toLowerCase() === 'cookie' ? cookieOf(headers, param) : headerOf(headers, param)
  if (actual === undefined) return false
  return op === 'in' ? value.split(',').some((word) => word.trim() === actual) : value === actual
}

function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const key = name.toLowerCase()
  const value = Object.hasOwn(headers, key) ? headers[key] : undefined
  return typeof value === 'string' ? value.trim() : undefined
}

function cookieOf({ cookie }: IncomingHttpHeaders, name: string): string | undefined {
  for (const pair of cookie?.split(';') ?? []) {
    const equals = pair.indexOf('=')
    if (equals !== -1 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim()
  }
  return undefined
}
