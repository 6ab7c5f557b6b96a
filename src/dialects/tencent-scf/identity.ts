import { digitsOf } from '../function-names.ts'

export { uinOf } from '../function-names.ts'

/** The vendor's number of an application's owner: ten digits, here derived from the account. */
export function appIdOf(accountId: string): string {
  return `125${digitsOf('appid', accountId, 7)}`
}
