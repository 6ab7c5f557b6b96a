import { isDeepStrictEqual } from 'node:util'
import { isJsonObject, parsedJson } from '../../model/json.ts'
import type { Extras, FunctionRecord } from '../../store/definition-store.ts'
import { extrasOf } from '../extras.ts'
import { FssError } from './errors.ts'
import { invalidValue, stringField } from './fields.ts'
import { DIALECT, type JsonObject } from './operation.ts'

/** Sources: the vendor's limits page for the first, its limits page over its error text (2 KB) for the second. */
const MAX_ENTRIES = 20
const MAX_CHARS = 4096

const KEY = /^[A-Za-z][A-Za-z0-9_]*$/

/** Members of a function's extras, and of requests: the data as they were written. */
const PLAIN = 'user_data'
const ENCRYPTED = 'encrypted_user_data'

type Values = Readonly<Record<string, string>>

/** What a function's code is told by key: as environment variables, and as the texts it was written in. */
export interface UserData {
  readonly environment: Values
  /** For the function's own extras. */
  readonly texts: Extras
}

/**
 * The user data after a request: what it names, else what was before.
 *
 * @throws {FssError} `FSS.1009`, `FSS.1017`, `FSS.1018`
 */
export function readUserData(body: JsonObject, before: FunctionRecord | undefined): UserData {
  const known = before === undefined ? { plain: '', encrypted: '' } : userDataTexts(before)
  const plain = stringField(body, PLAIN, { max: MAX_CHARS, code: 'FSS.1018' }) ?? known.plain
  const encrypted = stringField(body, ENCRYPTED, { max: MAX_CHARS, code: 'FSS.1018' }) ?? known.encrypted
  if (plain.length + encrypted.length > MAX_CHARS)
    throw new FssError('FSS.1018', `user_data and encrypted_user_data exceed ${MAX_CHARS} characters`)
  const plainValues = parsed(PLAIN, plain)
  const encryptedValues = parsed(ENCRYPTED, encrypted)
  const environment = { ...plainValues, ...encryptedValues }
  const count = Object.keys(environment).length
  if (count !== Object.keys(plainValues).length + Object.keys(encryptedValues).length)
    throw new FssError('FSS.1009', 'a key is both in user_data and in encrypted_user_data')
  // What another API gave a function may be more than this one takes; it stays as it is.
  if (count > MAX_ENTRIES && !isDeepStrictEqual(environment, before?.spec.environment))
    throw new FssError('FSS.1017', `there may be no more than ${MAX_ENTRIES} environment variables`)
  return {
    environment,
    texts: { [PLAIN]: plain, [ENCRYPTED]: encrypted },
  }
}

/** `user_data` and `encrypted_user_data` as an answer shows them: values of the latter blank. */
export function shownUserData(record: FunctionRecord): { user_data: string; encrypted_user_data: string } {
  const { plain, encrypted } = userDataTexts(record)
  const blank = Object.fromEntries(Object.keys(valuesOf(encrypted) ?? {}).map((key) => [key, '']))
  return { user_data: plain, encrypted_user_data: encrypted === '' ? '' : JSON.stringify(blank) }
}

/** As they were written, unless another API has changed the environment since. */
function userDataTexts({ spec, extras }: FunctionRecord): { plain: string; encrypted: string } {
  const own = extrasOf(extras, DIALECT)
  const [plain = '', encrypted = ''] = [own[PLAIN], own[ENCRYPTED]].map((text) =>
    typeof text === 'string' ? text : '',
  )
  const secret = valuesOf(encrypted) ?? {}
  if (isDeepStrictEqual({ ...valuesOf(plain), ...secret }, { ...spec.environment }))
    return { plain, encrypted }
  const entries = Object.entries(spec.environment)
  return {
    plain: jsonOf(entries.filter(([key]) => !Object.hasOwn(secret, key))),
    encrypted: jsonOf(entries.filter(([key]) => Object.hasOwn(secret, key))),
  }
}

function jsonOf(entries: readonly (readonly [string, string])[]): string {
  return entries.length === 0 ? '' : JSON.stringify(Object.fromEntries(entries))
}

function parsed(name: string, text: string): Values {
  const values = valuesOf(text)
  if (values === undefined)
    throw new FssError(
      'FSS.1009',
      `invalid parameter ${name}: it must be a JSON object of texts, as a string`,
    )
  for (const [key, value] of Object.entries(values)) {
    if (!KEY.test(key))
      throw invalidValue(name, 'keys of letters, digits and _ that begin with a letter', key, 'FSS.1009')
    if (value.includes('\0')) throw invalidValue(`${name}.${key}`, 'text without NUL', value, 'FSS.1009')
  }
  return values
}

/** The values of such a text; numbers and truth values count as what they look like. Undefined when it is no such text. */
function valuesOf(text: string): Values | undefined {
  if (text === '') return {}
  const value = parsedJson(text)
  if (!isJsonObject(value)) return undefined
  const entries = Object.entries(value).map(([key, each]) => [
    key,
    typeof each === 'number' || typeof each === 'boolean' ? String(each) : each,
  ])
  return entries.every((entry): entry is [string, string] => typeof entry[1] === 'string')
    ? Object.fromEntries(entries)
    : undefined
}
