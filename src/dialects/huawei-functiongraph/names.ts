import { createHash } from 'node:crypto'
import { LATEST } from '../../model/function.ts'
import { LATEST_VERSION } from './urn.ts'

/** Sources of these four: the vendor's API reference. */
export const FUNCTION_NAME = /^[A-Za-z](?:[A-Za-z0-9_-]{0,58}[A-Za-z0-9])?$/
export const VERSION_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,40}[A-Za-z0-9])?$/
export const ALIAS_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,62}$/
export const DEPENDENCY_NAME = /^[A-Za-z](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?$/

/** A time as bodies show it: UTC, whole seconds, `2006-01-02T15:04:05Z`. */
export function formatTime(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(0, 19)}Z`
}

/** A time where the API counts whole seconds since 1970. */
export function unixSeconds(epochMs: number): number {
  return Math.floor(epochMs / 1000)
}

/** The version as this API names it. */
export function shownVersion(version: string): string {
  return version === LATEST ? LATEST_VERSION : version
}

/** The version as it is stored, of a name as this API has it. */
export function storedVersion(version: string): string {
  return version === LATEST_VERSION ? LATEST : version
}

/** An id that is always the same for the same words: a UUID. */
export function derivedId(...words: readonly string[]): string {
  const hex = createHash('sha256').update(words.join('\0')).digest('hex')
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `5${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-')
}
