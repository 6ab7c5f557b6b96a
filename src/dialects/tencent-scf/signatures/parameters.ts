import { createHash, createHmac, hash, type KeyObject } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { constantTimeEqual } from '../../../auth/compare.ts'
import { hmac, type DigestAlgorithm } from '../../../auth/digest.ts'
import { headerValue } from '../../../auth/headers.ts'
import type { AccessKey, KeyRing } from '../../../auth/keyring.ts'
import { inSlices } from '../../../intake/slices.ts'
import { ScfError } from '../errors.ts'
import { byName, valueOf, type Parameter } from '../form.ts'
import {
  findKey,
  likeliestHost,
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

/** One spelling of the parameters' names in what is signed, from parameters in order of their names. */
type Rendering = (parameters: readonly Parameter[]) => readonly Parameter[]

/**
 * Checks a signature over a request's parameters, which are among them: `SecretId`, `Timestamp`, `Nonce`, `Signature`,
 * and `SignatureMethod` and `Token` where they are needed.
 *
 * The clients disagree on what they sign. Tried are every host of {@link signedHosts}, three spellings of names with `_`,
 * and where files may be left out, for POST also without values that begin with `@`.
 *
 * @param paths Those that may have been signed, the likeliest first.
 * @param parameters In order of their names, as forms are read.
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

  const ownHost = headerValue(head.headers, 'host')
  const region = valueOf(parameters, 'Region')
  const covered = coveredOf(parameters, leavesOutFiles && head.method === 'POST')
  if (covered.isLong)
    return compareLong(head.method, { covered, paths, ownHost, region }, method, key, signature)
  const isSigned = (host: string, path: string, pairs: readonly Parameter[]): boolean =>
    constantTimeEqual(signatureOf(method, key.secret, `${head.method}${host}${path}?`, pairs), signature)
  // It is nearly always this one: looking for it among all that may be costs more than the comparison itself.
  const [likeliestPath = ''] = paths
  if (isSigned(likeliestHost(ownHost), likeliestPath, covered.withoutFiles)) return { key, signature }
  for (const pairs of renderings(covered))
    for (const path of paths)
      for (const host of signedHosts(ownHost, region))
        if (isSigned(host, path, pairs)) return { key, signature }
  throw signatureFailure(ownHost, region)
}

/** What a signature is over. */
interface Covered {
  /** All parameters but the signature itself, in order of their names. */
  readonly all: readonly Parameter[]
  /** Those without the files that may be left out. */
  readonly withoutFiles: readonly Parameter[]
  /** Whether a comparison takes so long that others must get their turn in between. */
  readonly isLong: boolean
}

function coveredOf(parameters: readonly Parameter[], leavesOutFiles: boolean): Covered {
  const all: Parameter[] = []
  let chars = 0
  let files = 0
  let hasLarge = false
  for (const parameter of parameters) {
    if (parameter.key === 'Signature') continue
    all.push(parameter)
    chars += parameter.value.length
    if (parameter.large !== undefined) hasLarge = true
    if (leavesOutFiles && isFile(parameter)) files += 1
  }
  const withoutFiles = files === 0 ? all : all.filter((parameter) => !isFile(parameter))
  return { all, withoutFiles, isLong: hasLarge || chars > LONG_CHARS }
}

/** What may have been signed. */
interface Spellings {
  readonly covered: Covered
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
  for (const pairs of renderings(spellings.covered))
    for (const path of spellings.paths)
      for (const host of signedHosts(ownHost, region)) {
        const expected = await signatureOfLarge(method, key.secret, `${httpMethod}${host}${path}?`, pairs)
        if (constantTimeEqual(expected, signature)) return { key, signature }
        await setImmediate()
      }
  throw signatureFailure(ownHost, region)
}

/** The parameters in every way they may have been signed, the cheapest first where they differ in size. */
function* renderings({ all, withoutFiles }: Covered): Generator<readonly Parameter[]> {
  const ways = all.some(({ key }) => key.includes('_')) ? RENDERINGS : [asNamed]
  if (withoutFiles.length < all.length) for (const render of ways) yield render(withoutFiles)
  for (const render of ways) yield render(all)
}

/** The legacy clients keep uploaded code out of the signature of a form, and tell it by its first character. */
function isFile({ value, large }: Parameter): boolean {
  return large === undefined ? value.startsWith('@') : large[0] === 0x40
}

const asNamed: Rendering = (parameters) => parameters

const RENDERINGS: readonly Rendering[] = [
  asNamed,
  // Node.js, legacy.
  (parameters) =>
    parameters.map((pair) =>
      pair.key.startsWith('_') ? pair : { ...pair, key: pair.key.replaceAll('_', '.') },
    ),
  // Python.
  (parameters) =>
    parameters.map((pair) => ({ ...pair, key: pair.key.replaceAll('_', '.') })).toSorted(byName),
]

/** Base64. */
function signatureOf(
  { algorithm, hashesParameters }: Method,
  secret: KeyObject,
  start: string,
  pairs: readonly Parameter[],
): string {
  let text = hashesParameters === true ? '' : start
  let separator = ''
  for (const { key, value } of pairs) {
    text += `${separator}${key}=${value}`
    separator = '&'
  }
  return hmac(
    algorithm,
    secret,
    hashesParameters === true ? `${start}\n${hash(algorithm, text)}` : text,
    'base64',
  )
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
