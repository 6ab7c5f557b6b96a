import type { KeyRing } from '../../../auth/keyring.ts'
import type { JsonObject } from '../../../model/json.ts'
import type { Principal } from '../auth.ts'
import { domainIdOf } from '../ids.ts'
import type { Answer } from '../operation.ts'
import type { Tokens } from './tokens.ts'

/** One request to identity and access management, after routing, authentication and decoding. */
export interface IamCall {
  /** Undefined where the operation takes requests without credentials in their head. */
  readonly principal: Principal | undefined
  /** The last segment of the path, percent-decoded, where the pattern has a parameter. */
  readonly param: string
  readonly query: ReadonlyMap<string, string>
  /** Of the header `X-Subject-Token`. */
  readonly subjectToken: string | undefined
  readonly body: JsonObject
  /** `http://host:port` as the client reached us. */
  readonly origin: string
}

/** What these operations may use. */
export interface IamRooms {
  readonly keyring: KeyRing
  readonly tokens: Tokens
  /** Who may get a token with a password: the configured access keys. */
  readonly users: readonly { readonly accountId: string; readonly accessKeyId: string }[]
  readonly region: string
  readonly now: () => number
}

export type IamOperation = (call: IamCall, rooms: IamRooms) => Answer

/** The account as answers show it. Its name is the account id. */
export function domainOf(accountId: string): { readonly id: string; readonly name: string } {
  return { id: domainIdOf(accountId), name: accountId }
}
