import { memoised } from './memoised.ts'

/** Request headers as Node delivers them: lower-case names, repeats joined or listed. */
export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

/**
 * A header's value: trimmed; values that arrive as a list are trimmed, sorted and joined by `,`.
 *
 * @param name In lower case. May come from the request: names such as `constructor` find nothing.
 * @returns Undefined when the request does not have the header.
 */
export function headerValue(headers: RequestHeaders, name: string): string | undefined {
  const value = Object.hasOwn(headers, name) ? headers[name] : undefined
  if (value === undefined || typeof value === 'string') return value?.trim()
  return value
    .map((item) => item.trim())
    .sort()
    .join(',')
}

/** The names of a request's headers that begin with a prefix, sorted. */
export function headerNamesWithPrefix(headers: RequestHeaders, prefix: string): string[] {
  const names: string[] = []
  for (const name of Object.keys(headers)) {
    if (name.startsWith(prefix) && headers[name] !== undefined) names.push(name)
  }
  return names.length > 1 ? names.sort() : names
}

/**
 * The canonical block of the headers that a request says it signed.
 *
 * @returns undefined when the request lacks one of them
 */
export function signedBlock(headers: RequestHeaders, names: readonly string[]): string | undefined {
  let block = ''
  for (const name of names) {
    const value = headerValue(headers, name)
    if (value === undefined) return undefined
    block += `${name}:${value}\n`
  }
  return block
}

/** The canonical block of headers: `name:value` and a line feed each, in the order of the names. */
export function headerBlock(headers: RequestHeaders, names: readonly string[]): string {
  let block = ''
  for (const name of names) block += `${name}:${headerValue(headers, name) ?? ''}\n`
  return block
}

/**
 * Reads the list of signed header names in an Authorization header.
 *
 * @param list Names joined by `;`.
 * @param maxNames A longer list is refused.
 * @returns Undefined unless the names are lower-case tokens in strictly ascending order, which also
 *   rules out repeats.
 */
export function parseSignedHeaders(list: string, maxNames: number): readonly string[] | undefined {
  const names = readNames(list)
  return names === undefined || names.length > maxNames ? undefined : names
}

/** A client signs the same headers again and again. */
const readNames = memoised(splitNames, { entries: 256, characters: 512 })

function splitNames(list: string): readonly string[] | undefined {
  const names = list.split(';')
  let previous = ''
  for (const name of names) {
    if (name <= previous || !/^[a-z0-9_.-]+$/.test(name)) return undefined
    previous = name
  }
  return names
}
