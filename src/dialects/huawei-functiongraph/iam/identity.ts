import { constantTimeEqual } from '../../../auth/compare.ts'
import { isJsonObject, type JsonObject } from '../../../model/json.ts'
import { userIdOf } from '../ids.ts'
import { IamError } from './errors.ts'
import { domainOf, type IamCall, type IamRooms } from './operation.ts'
import type { TokenMethod } from './tokens.ts'

/** Who somebody has proved to be. */
export interface Identity {
  readonly accountId: string
  readonly accessKeyId: string
  readonly methods: readonly TokenMethod[]
  /** When the proof ends, epoch milliseconds; undefined: never. */
  readonly expiresAtMs: number | undefined
}

/** Longest names, secrets and tokens that are looked at, characters. */
const MAX_TEXT_CHARS = 4096

/**
 * Checks the `auth.identity` of a request.
 *
 * | method | proof |
 * |---|---|
 * | `password` | user: the access key id, the account id, or the id of either in an answer; password: the access key's secret |
 * | `token` | a token that is still good, in the body or as `X-Auth-Token` |
 * | `hw_ak_sk` | an access key and its secret |
 * | `assume_role` | the request's own credentials: roles do not limit what an account may do here |
 *
 * @throws {IamError} 400 for what is not understood, 401 for a wrong proof
 */
export function identify(identity: JsonObject, call: IamCall, rooms: IamRooms): Identity {
  const { methods } = identity
  const method: unknown = Array.isArray(methods) && methods.length === 1 ? methods[0] : undefined
  switch (method) {
    case 'password':
      return byPassword(member(identity, 'password'), rooms)
    case 'token':
      return byToken(identity, call, rooms)
    case 'hw_ak_sk':
      return byAccessKey(member(identity, 'hw_ak_sk'), rooms)
    case 'assume_role':
      return byRole(member(identity, 'assume_role'), call)
    default:
      throw new IamError(400, 'identity.methods must be one of password, token, hw_ak_sk and assume_role')
  }
}

/** A member that is an object. @throws {IamError} 400 */
export function member(parent: JsonObject, name: string): JsonObject {
  const value = parent[name]
  if (!isJsonObject(value)) throw new IamError(400, `Expecting to find ${name} in the request body`)
  return value
}

/** A member that is a short text; empty when it is absent. @throws {IamError} 400 */
export function text(parent: JsonObject, name: string): string {
  const value = parent[name] ?? ''
  if (typeof value !== 'string' || value.length > MAX_TEXT_CHARS)
    throw new IamError(400, `${name} is not a text of at most ${MAX_TEXT_CHARS} characters`)
  return value
}

/** Whether an object names that account, by id or by name; one that names none does. @throws {IamError} 400 */
export function namesAccount(domain: unknown, accountId: string): boolean {
  if (domain === undefined || domain === null) return true
  if (!isJsonObject(domain)) throw new IamError(400, 'domain is not an object')
  const own = domainOf(accountId)
  const id = text(domain, 'id')
  const name = text(domain, 'name')
  return (id === '' || id === own.id) && (name === '' || name === own.name || name === own.id)
}

function byPassword(password: JsonObject, { users, keyring, now }: IamRooms): Identity {
  const user = member(password, 'user')
  const names = [text(user, 'id'), text(user, 'name')].filter((name) => name !== '')
  const given = text(user, 'password')
  const found = users.find(
    ({ accountId, accessKeyId }) =>
      names.length > 0 &&
      names.every((name) => isNameOf(name, accountId, accessKeyId)) &&
      namesAccount(user['domain'], accountId),
  )
  const lookup = keyring.find(found?.accessKeyId ?? '', undefined, now())
  // An unknown user takes as long as a wrong password, which says nothing about who exists.
  const secret = lookup.kind === 'found' ? lookup.key.secret.export().toString() : `${given}?`
  if (!constantTimeEqual(given, secret) || found === undefined || lookup.kind !== 'found')
    throw new IamError(401, 'The username or password is wrong.')
  return { ...found, methods: ['password'], expiresAtMs: lookup.key.expiresAtMs }
}

function isNameOf(name: string, accountId: string, accessKeyId: string): boolean {
  const { id } = domainOf(accountId)
  return (
    name === accessKeyId || name === accountId || name === id || name === userIdOf(accountId, accessKeyId)
  )
}

function byToken(identity: JsonObject, { principal }: IamCall, { tokens, now }: IamRooms): Identity {
  const given = isJsonObject(identity['token']) ? text(identity['token'], 'id') : ''
  const token = given === '' ? principal : tokens.read(given, now())
  if (token === undefined) throw new IamError(401, 'The token is unknown or has expired.')
  const { accountId, accessKeyId, expiresAtMs } = token
  return { accountId, accessKeyId, methods: ['token'], expiresAtMs }
}

function byAccessKey(proof: JsonObject, { keyring, now }: IamRooms): Identity {
  const accessKeyId = text(member(proof, 'access'), 'key')
  const given = text(member(proof, 'secret'), 'key')
  const securityToken = text(proof, 'token')
  const lookup = keyring.find(accessKeyId, securityToken || undefined, now())
  const secret = lookup.kind === 'found' ? lookup.key.secret.export().toString() : `${given}?`
  if (!constantTimeEqual(given, secret) || lookup.kind !== 'found')
    throw new IamError(401, 'The access key or its secret is wrong.')
  const { accountId, expiresAtMs } = lookup.key
  return { accountId, accessKeyId, methods: ['hw_ak_sk'], expiresAtMs }
}

function byRole(role: JsonObject, { principal }: IamCall): Identity {
  if (principal === undefined) throw new IamError(401, 'The request needs X-Auth-Token or a signature.')
  const { accountId, accessKeyId, expiresAtMs } = principal
  const domain = { id: text(role, 'domain_id'), name: text(role, 'domain_name') }
  if (text(role, 'agency_name') === '') throw new IamError(400, 'assume_role.agency_name is required')
  if (!namesAccount(domain, accountId)) throw new IamError(403, 'The agency belongs to another account.')
  return { accountId, accessKeyId, methods: ['assume_role'], expiresAtMs }
}
