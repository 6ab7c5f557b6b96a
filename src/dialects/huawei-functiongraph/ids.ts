import { sha256HexOfText } from '../../auth/digest.ts'

/** Ids of accounts, projects and users, in characters: 32 hexadecimal digits. */
const ID_CHARS = 32

/** The account in the vendor's spelling. */
export function domainIdOf(accountId: string): string {
  return derived(accountId)
}

/**
 * The id of an account's project of that name; that of the default project is made with the server's region.
 *
 * Projects name no separate tenants: an account reaches the same functions through all of them.
 */
export function projectIdOf(accountId: string, name: string): string {
  return derived(`${accountId}/project/${name}`)
}

/** The id of a user: an access key is one. */
export function userIdOf(accountId: string, accessKeyId: string): string {
  return derived(`${accountId}/user/${accessKeyId}`)
}

function derived(text: string): string {
  return sha256HexOfText(text).slice(0, ID_CHARS)
}
