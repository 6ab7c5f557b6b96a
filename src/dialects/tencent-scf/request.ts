import type { KeyRing } from '../../auth/keyring.ts'
import { sha256HexOfText } from '../../auth/digest.ts'
import type { Exchange } from '../../http/exchange.ts'
import { bodySha256 } from '../../intake/body-hash.ts'
import { PARSED_BODY_BYTES } from '../../intake/large-body.ts'
import { isJsonObject } from '../../model/json.ts'
import { toBuffer, type Payload } from '../../model/payload.ts'
import { contentOf, queryContent, readContent, type ContentRooms } from './content.ts'
import { ScfError } from './errors.ts'
import { readForm, readLargeForm, textOf, valueOf, type Parameter } from './form.ts'
import { mediaTypeOf } from './multipart.ts'
import type { Api, Call, JsonObject } from './operation.ts'
import { API2, API3, type ActionDefinition } from './operations.ts'
import type { Replays } from './replays.ts'
import { verifyParameters } from './signatures/parameters.ts'
import { readTc3, requireTc3 } from './signatures/tc3.ts'

/** The one version there is. */
const VERSION = '2018-04-16'

/** Longest body of a request with an event. Source: the vendor's request page, "10 MB" for TC3. */
const EVENT_BODY_BYTES = 10 * 1024 * 1024
/** Code in the body, base64 and all: the vendor's model allows an archive of 50 MB. */
const CODE_BODY_BYTES = 70 * 1024 * 1024
/** Forms and multipart bodies are longer than what they hold: enough for an archive of 10 MB, the most of the legacy API. */
const FORM_BODY_BYTES = 20 * 1024 * 1024

/** What a legacy request is signed for; one of the vendor's samples has a slash at its end. */
const LEGACY_PATHS = ['/v2/index.php', '/v2/index.php/']

const SHA256_OF_NOTHING = sha256HexOfText('')
const OPEN_BRACE = 0x7b

/** What requests are read with. */
export interface RequestRooms extends ContentRooms {
  readonly keyring: KeyRing
  readonly replays: Replays
  /** Epoch milliseconds. */
  readonly now: () => number
}

/** A request that is genuine and says what it wants. */
export interface SignedRequest extends Pick<Call, 'action' | 'accountId' | 'params' | 'takeZipFile'> {
  /** As sent. */
  readonly region: string | undefined
  readonly definition: ActionDefinition
}

/**
 * Reads a request of API 3.0: who sent it, what it asks for and its parameters.
 *
 * Throws or rejects with a {@link ScfError}, or with what reading bodies rejects with.
 */
export function readRequest(exchange: Exchange, rooms: RequestRooms): Promise<SignedRequest> {
  const { method, rawPath, headers } = exchange
  if (method !== 'POST' && method !== 'GET')
    throw new ScfError('UnsupportedProtocol', `the method ${method.slice(0, 32)} is not supported`)
  if (rawPath !== '/') throw new ScfError('InvalidRequest', "the path of this API is '/'")
  if (headers.authorization !== undefined) return readTc3Request(exchange, rooms)
  if (headers['x-tc-action'] !== undefined)
    throw new ScfError('AuthFailure.InvalidAuthorization', 'the request has no Authorization header')
  return readParameterRequest('3.0', ['/'], exchange, rooms)
}

/** Reads a request of the legacy API, as {@link readRequest}. */
export function readLegacyRequest(exchange: Exchange, rooms: RequestRooms): Promise<SignedRequest> {
  const { method } = exchange
  if (method !== 'POST' && method !== 'GET')
    throw new ScfError('UnsupportedProtocol', `the method ${method.slice(0, 32)} is not supported`)
  return readParameterRequest('2.0', LEGACY_PATHS, exchange, rooms)
}

async function readTc3Request(exchange: Exchange, rooms: RequestRooms): Promise<SignedRequest> {
  const { headers } = exchange
  const claim = readTc3(exchange, rooms.keyring, rooms.now())
  const named = headerText(headers['x-tc-action'])
  const { accountId } = claim.key
  const region = headerText(headers['x-tc-region'])
  const version = headerText(headers['x-tc-version'])
  if (exchange.method === 'GET') {
    requireTc3(claim, exchange, SHA256_OF_NOTHING)
    const parameters = readForm(exchange.rawQuery)
    const action = signedActionOf(named, valueOf(parameters, 'Action'))
    requireVersion(version ?? valueOf(parameters, 'Version'))
    return { ...action, accountId, region, params: queryContent(parameters) }
  }
  const expected = named === undefined ? undefined : findAction('3.0', named)
  const contentType = headerText(headers['content-type']) ?? ''
  const payload = await exchange.readBody(limitOf(expected?.definition, contentType))
  const hash = bodySha256(payload, rooms.largeBodies)
  requireTc3(claim, exchange, typeof hash === 'string' ? hash : await hash)
  const read = readContent(payload, contentType, expected?.definition, rooms)
  const content = read instanceof Promise ? await read : read
  const { action, definition } = signedActionOf(named, textMember(content.params, 'Action'))
  requireVersion(version ?? textMember(content.params, 'Version'))
  const { params, takeZipFile } = content
  return { action, definition, accountId, region, params, takeZipFile }
}

/** A request that is signed by its parameters: all of the legacy API, and the older clients of API 3.0. */
async function readParameterRequest(
  api: Api,
  paths: readonly string[],
  exchange: Exchange,
  rooms: RequestRooms,
): Promise<SignedRequest> {
  const read =
    exchange.method === 'GET'
      ? readForm(exchange.rawQuery)
      : readFormBody(await exchange.readBody(FORM_BODY_BYTES), rooms)
  // Not waited for in vain: each promise is a turn of the queue for every call.
  const parameters = read instanceof Promise ? await read : read
  const isSigned = valueOf(parameters, 'SecretId') ?? valueOf(parameters, 'Signature')
  if (api === '3.0' && isSigned === undefined)
    throw new ScfError('AuthFailure.InvalidAuthorization', 'the request is not signed')
  const nowMs = rooms.now()
  const verified = verifyParameters(
    exchange,
    paths,
    parameters,
    rooms.keyring,
    nowMs,
    // Only there is a request taken once.
    { leavesOutFiles: api === '2.0' },
  )
  const { key, signature } = verified instanceof Promise ? await verified : verified
  if (api === '2.0') rooms.replays.requireFirst(signature, nowMs)
  const { action, definition } = actionOf(api, valueOf(parameters, 'Action'))
  if (api === '3.0') requireVersion(valueOf(parameters, 'Version'))
  const { params, takeZipFile } = contentOf(api, parameters, definition, rooms)
  const region = valueOf(parameters, 'Region')
  return { action, definition, accountId: key.accountId, region, params, takeZipFile }
}

function readFormBody(
  payload: Payload,
  rooms: RequestRooms,
): readonly Parameter[] | Promise<readonly Parameter[]> {
  const [first] = payload.chunks
  // Some clients name JSON as the type of a form. What is JSON is signed by a header, and this has none.
  if (first?.[0] === OPEN_BRACE)
    throw new ScfError('AuthFailure.InvalidAuthorization', 'the request has no Authorization header')
  const body = toBuffer(payload)
  return payload.byteLength <= PARSED_BODY_BYTES
    ? readForm(textOf(body))
    : rooms.largeBodies.run(() => readLargeForm(body))
}

/** @throws {ScfError} `MissingParameter`, `InvalidAction` */
function actionOf(api: Api, named: string | undefined): Pick<SignedRequest, 'action' | 'definition'> {
  if (named === undefined || named === '')
    throw new ScfError('MissingParameter', 'the request is missing the parameter Action')
  const found = findAction(api, named)
  if (found !== undefined) return found
  throw new ScfError('InvalidAction', `this server has no action '${named.slice(0, 64)}' of API ${api}`)
}

/**
 * The action of a request with a TC3 signature. The vendor's clients do not sign the header that names it: where what is
 * signed names one too, it must be the same.
 *
 * @throws {ScfError} `InvalidParameter`, and what {@link actionOf} throws
 */
function signedActionOf(
  inHeader: string | undefined,
  inContent: string | undefined,
): Pick<SignedRequest, 'action' | 'definition'> {
  const found = actionOf('3.0', inHeader ?? inContent)
  if (inHeader !== undefined && inContent && findAction('3.0', inContent)?.action !== found.action)
    throw new ScfError('InvalidParameter', 'X-TC-Action names another action than the parameter Action')
  return found
}

/** Some clients write the first letter of an action in the wrong case. */
function findAction(api: Api, named: string): Pick<SignedRequest, 'action' | 'definition'> | undefined {
  const table: Readonly<Record<string, ActionDefinition>> = api === '3.0' ? API3 : API2
  const action = named.charAt(0).toUpperCase() + named.slice(1)
  const definition = Object.hasOwn(table, action) ? table[action] : undefined
  return definition === undefined ? undefined : { action, definition }
}

/** @throws {ScfError} `MissingParameter`, `NoSuchVersion` */
function requireVersion(named: string | undefined): void {
  if (named === VERSION) return
  if (named === undefined || named === '')
    throw new ScfError('MissingParameter', 'the request is missing the parameter Version')
  throw new ScfError('NoSuchVersion', `the only version is ${VERSION}`)
}

function limitOf(definition: ActionDefinition | undefined, contentType: string): number {
  if (definition?.takesEvent === true) return EVENT_BODY_BYTES
  if (definition?.takesCode !== true) return PARSED_BODY_BYTES
  return mediaTypeOf(contentType).startsWith('application/') ? CODE_BODY_BYTES : FORM_BODY_BYTES
}

function textMember(params: JsonObject, name: string): string | undefined {
  const value = isJsonObject(params) && Object.hasOwn(params, name) ? params[name] : undefined
  return typeof value === 'string' ? value : undefined
}

function headerText(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
