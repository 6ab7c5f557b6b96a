import { createHash } from 'node:crypto'

/** Decimal digits that belong to an account, always the same ones. */
function digitsOf(purpose: string, accountId: string, count: number): string {
  const digest = createHash('sha256').update(`${purpose} ${accountId}`).digest('hex')
  return BigInt(`0x${digest}`).toString().slice(0, count)
}

/** The vendor's number of an application's owner: ten digits, here derived from the account. */
export function appIdOf(accountId: string): string {
  return `125${digitsOf('appid', accountId, 7)}`
}

/** The vendor's number of an account: twelve digits, here derived from the account. */
export function uinOf(accountId: string): string {
  return `100${digitsOf('uin', accountId, 9)}`
}
