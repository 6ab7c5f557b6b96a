import { createHash } from 'node:crypto'
import type { Stored } from '../../store/definition-store.ts'
import { FcError } from './errors.ts'
import { invalidValue } from './fields.ts'

const NAME = /^[A-Za-z_][A-Za-z0-9_-]*$/
const ALIAS = /^[A-Za-z0-9_-]{1,128}$/
/** Versions and aliases that a function of another vendor's API has may hold more than this vendor's: `$DEFAULT`, `v1.2`. */
const QUALIFIER = /^[A-Za-z0-9_.$-]{1,128}$/
const TASK_ID = /^[A-Za-z_][A-Za-z0-9_-]{0,127}$/

/** Longest names, characters. Source: the vendor's limits page. */
const SERVICE_NAME_CHARS = 128
const FUNCTION_NAME_CHARS = 64
const ALIAS_NAME_CHARS = 128

/** @throws {FcError} InvalidArgument */
export function requireServiceName(name: string): string {
  return requireName('serviceName', name, SERVICE_NAME_CHARS)
}

/** @throws {FcError} InvalidArgument */
export function requireFunctionName(name: string): string {
  return requireName('functionName', name, FUNCTION_NAME_CHARS)
}

/** An alias name is no bare number and not `LATEST`: both are versions. @throws {FcError} InvalidArgument */
export function requireAliasName(name: string): string {
  if (!ALIAS.test(name) || name.length > ALIAS_NAME_CHARS || /^\d+$/.test(name) || name === 'LATEST')
    throw invalidValue(
      'aliasName',
      "letters, digits, '_' and '-', at most 128, neither a number nor LATEST",
      name,
    )
  return name
}

/** A qualifier as a caller may write it: a version number, an alias or `LATEST`. @throws {FcError} InvalidArgument */
export function requireQualifier(qualifier: string): string {
  if (!QUALIFIER.test(qualifier))
    throw invalidValue('qualifier', "letters, digits, '_', '-', '.' and '$', at most 128", qualifier)
  return qualifier
}

/** The id a caller gives an asynchronous call. @throws {FcError} InvalidArgument */
export function requireTaskId(taskId: string): string {
  if (!TASK_ID.test(taskId)) throw invalidValue('statefulAsyncInvocationId', TASK_ID.source, taskId)
  return taskId
}

/** A service segment of a path: `demo`, `demo.prod`; `demo.` means the latest state. */
export function splitServiceSegment(segment: string): { service: string; qualifier: string | undefined } {
  const dot = segment.indexOf('.')
  if (dot === -1) return { service: segment, qualifier: undefined }
  const qualifier = segment.slice(dot + 1)
  return { service: segment.slice(0, dot), qualifier: qualifier === '' ? undefined : qualifier }
}

/** `acs:fc:{region}:{account}:services/{service}[.{qualifier}]` */
export function serviceArn(region: string, account: string, service: string, qualifier?: string): string {
  return `acs:fc:${region}:${account}:${serviceResource(service, qualifier)}`
}

/** `acs:fc:{region}:{account}:services/{service}[.{qualifier}]/functions/{function}` */
export function functionArn(
  region: string,
  account: string,
  service: string,
  name: string,
  qualifier?: string,
): string {
  return `acs:fc:${region}:${account}:${functionResource(service, name, qualifier)}`
}

/** `services/{service}[.{qualifier}]` */
export function serviceResource(service: string, qualifier?: string): string {
  return qualifier === undefined ? `services/${service}` : `services/${service}.${qualifier}`
}

/** `services/{service}[.{qualifier}]/functions/{function}` */
export function functionResource(service: string, name: string, qualifier?: string): string {
  return `${serviceResource(service, qualifier)}/functions/${name}`
}

/** A time as the control plane writes it: UTC, whole seconds, `2006-01-02T15:04:05Z`. */
export function formatTime(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(0, 19)}Z`
}

/**
 * Names this state of a record: it changes with every change, also when a record is deleted and made anew.
 *
 * @returns 32 lower-case hexadecimal digits, without quotes, as the service writes it.
 */
export function etagOf({ kind, key, revision, value }: Stored): string {
  return createHash('sha256')
    .update(`${kind} ${key} ${value.createdAtMs} ${revision}`)
    .digest('hex')
    .slice(0, 32)
}

function requireName(field: string, name: string, maxChars: number): string {
  if (name.length === 0 || name.length > maxChars || !NAME.test(name))
    throw new FcError(
      'InvalidArgument',
      `${field} must be 1 - ${maxChars} letters, digits, '_' or '-' and not begin with a digit or '-'` +
        ` (actual: '${name.slice(0, 64)}')`,
    )
  return name
}
