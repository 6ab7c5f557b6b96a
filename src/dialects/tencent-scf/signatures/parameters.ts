import { createHash, createHmac, hash, type KeyObject } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { constantTimeEqual } from '../../../auth/compare.ts'
import { hmac, type DigestAlgorithm } from '../../../auth/digest.ts'
import { headerValue } from '../../../auth/headers.ts'
import type { AccessKey, KeyRing } from '../../../auth/keyring.ts'
import { inSlices } from '../../../intake/slices.ts'
import { ScfError } from '../errors.ts'
import { valueOf, type Parameter } from '../form.ts'
import {
  findKey,
  parseTimestamp,
  requireFreshTime,
  signatureFailure,
  signedHosts,
  type SignedHead,
} from './signer.ts'

/** Parameters that are longer together, characters, are tried one spelling at a turn of the event loop. */
const LONG_CHARS = 16 * 1024

/** How one method makes a signature out of what is signed. */
interface Method {
  readonly algorithm: DigestAlgorithm
  /** The string to sign holds the hash of the parameters, not the parameters. */
  readonly hashesParameters?: true
}

const METHODS: ReadonlyMap<string, Method> = new Map<string, Method>([
  ['HmacSHA1', { algorithm: 'sha1' }],
  ['HmacSHA256', { algorithm: 'sha256' }],
  ['TC2-HmacSHA256', { algorithm: 'sha256', hashesParameters: true }],
])

/** Who signed; the signature is the same for no two requests that differ. */
export interface SignedParameters {
  readonly key: AccessKey
  readonly signature: string
}

/** One spelling of the parameters' names in what is signed. */
type Rendering = (parameters: readonly Parameter[]) => readonly Parameter[]

/**
 * Checks a signature over a request's parameters, which are among them: `SecretId`, `Timestamp`, `Nonce`, `Signature`,
 * and `SignatureMethod` and `Token` where they are needed.
 *
 * The clients disagree on what they sign. Tried are every host of {@link signedHosts}, three spellings of names with `_`,
 * and where files may be left out, for POST also without values that begin with `@`.
 *
 * @param paths Those that may have been signed.
 * @param options.leavesOutFiles Whether values that begin with `@` need no signature. Whoever sees such a request can give it
 *   any such value, so that it must not be taken twice. Default false.
 * @returns A promise where the parameters are long. Throws or rejects with a {@link ScfError}: `MissingParameter`,
 *   `InvalidParameterValue`, `AuthFailure.*`.
 */
export function verifyParameters(
  head: SignedHead,
  paths: readonly string[],
  parameters: readonly Parameter[],
  keyring: KeyRing,
  nowMs: number,
  { leavesOutFiles = false }: { readonly leavesOutFiles?: boolean } = {},
): SignedParameters | Promise<SignedParameters> {
  const secretId = required(parameters, 'SecretId')
  const signature = required(parameters, 'Signature')
  const timestampS = parseTimestamp(required(parameters, 'Timestamp'))
  required(parameters, 'Nonce')
  if (timestampS === undefined)
    throw new ScfError('InvalidParameterValue', 'Timestamp is not a number of seconds')
  const method = METHODS.get(valueOf(parameters, 'SignatureMethod') || 'HmacSHA1')
  if (method === undefined)
    throw new ScfError(
      'InvalidParameterValue',
      'SignatureMethod must be HmacSHA1, HmacSHA256 or TC2-HmacSHA256; TC3-HMAC-SHA256 takes a header',
    )
  const key = findKey(keyring, secretId, valueOf(parameters, 'Token'), nowMs)
  requireFreshTime(timestampS, nowMs)

  const signed = parameters.filter(({ key: name }) => name !== 'Signature')
  const ownHost = headerValue(head.headers, 'host')
  const region = valueOf(parameters, 'Region')
  let signedChars = 0
  for (const { value } of signed) signedChars += value.length
  const isLong = signedChars > LONG_CHARS
  const isPosted = head.method === 'POST'
  const spellings = { pairs: () => candidates(signed, leavesOutFiles && isPosted), paths, ownHost, region }
  if (isLong || signed.some(({ large }) => large !== undefined))
    return compareLong(head.method, spellings, method, key, signature)
  for (const pairs of spellings.pairs())
    for (const path of paths)
      for (const host of signedHosts(ownHost, region)) {
        const expected = signatureOf(method, key.secret, `${head.method}${host}${path}?`, pairs)
        if (constantTimeEqual(expected, signature)) return { key, signature }
      }
  throw signatureFailure(ownHost, region)
}

/** What may have been signed. */
interface Spellings {
  readonly pairs: () => Iterable<readonly Parameter[]>
  readonly paths: readonly string[]
  readonly ownHost: string | undefined
  readonly region: string | undefined
}

/** As above, giving way to other calls: a request that nobody signed costs all of the comparisons. */
async function compareLong(
  httpMethod: string,
  spellings: Spellings,
  method: Method,
  key: AccessKey,
  signature: string,
): Promise<SignedParameters> {
  const { ownHost, region } = spellings
  for (const pairs of spellings.pairs())
    for (const path of spellings.paths)
      for (const host of signedHosts(ownHost, region)) {
        const expected = await signatureOfLarge(method, key.secret, `${httpMethod}${host}${path}?`, pairs)
        if (constantTimeEqual(expected, signature)) return { key, signature }
        await setImmediate()
      }
  throw signatureFailure(ownHost, region)
}

/** The parameters in every way they may have been signed, the cheapest first where they differ in size. */
function* candidates(
  parameters: readonly Parameter[],
  leavesOutFiles: boolean,
): Generator<readonly Parameter[]> {
  const withoutFiles = leavesOutFiles ? parameters.filter((parameter) => !isFile(parameter)) : parameters
  const renderings = parameters.some(({ key }) => key.includes('_')) ? RENDERINGS : [byName]
  if (withoutFiles.length < parameters.length) for (const render of renderings) yield render(withoutFiles)
  for (const render of renderings) yield render(parameters)
}

/** The legacy clients keep uploaded code out of the signature of a form, and tell it by its first character. */
function isFile({ value, large }: Parameter): boolean {
  return large === undefined ? value.startsWith('@') : large[0] === 0x40
}

const byName: Rendering = (parameters) =>
  parameters.toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))

const RENDERINGS: readonly Rendering[] = [
  byName,
  // Node.js, legacy.
  (parameters) =>
    byName(parameters).map((pair) =>
      pair.key.startsWith('_') ? pair : { ...pair, key: pair.key.replaceAll('_', '.') },
    ),
  // Python.
  (parameters) => byName(parameters.map((pair) => ({ ...pair, key: pair.key.replaceAll('_', '.') }))),
]

/** Base64. */
function signatureOf(
  { algorithm, hashesParameters }: Method,
  secret: KeyObject,
  start: string,
  pairs: readonly Parameter[],
): string {
  let text = ''
  for (const { key, value } of pairs) text += text === '' ? `${key}=${value}` : `&${key}=${value}`
  const covered = hashesParameters === true ? `\n${hash(algorithm, text)}` : text
  return hmac(algorithm, secret, start + covered, 'base64')
}

/** The same with values that are large: waits between their slices. */
async function signatureOfLarge(
  { algorithm, hashesParameters }: Method,
  secret: KeyObject,
  start: string,
  pairs: readonly Parameter[],
): Promise<string> {
  if (hashesParameters === true) {
    const digest = createHash(algorithm)
    for await (const part of inSlices(partsOf(pairs))) digest.update(part)
    return hmac(algorithm, secret, `${start}\n${digest.digest('hex')}`, 'base64')
  }
  const mac = createHmac(algorithm, secret).update(start)
  for await (const part of inSlices(partsOf(pairs))) mac.update(part)
  return mac.digest('base64')
}

function* partsOf(pairs: readonly Parameter[]): Generator<Buffer> {
  let separator = ''
  for (const { key, value, large } of pairs) {
    yield Buffer.from(`${separator}${key}=${value}`)
    if (large !== undefined) yield large
    separator = '&'
  }
}

function required(parameters: readonly Parameter[], name: string): string {
  const value = valueOf(parameters, name)
  if (value === undefined || value === '')
    throw new ScfError('MissingParameter', `the request is missing the parameter ${name}`)
  return value
}
