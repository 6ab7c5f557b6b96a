import { createHash } from 'node:crypto'
import type { InvokeTarget } from '../model/invocation.ts'

/** Where a name of a function in full leads: to one of the account's, or to one that no call of the account reaches. */
export type NamedFunction =
  { readonly kind: 'function'; readonly target: InvokeTarget } | { readonly kind: 'elsewhere' }

/** Functions made through any API are reached, so their names have the letters of all of them. */
const NAME = '[A-Za-z0-9_][A-Za-z0-9_-]{0,127}'
const QUALIFIER = '[A-Za-z0-9_$][A-Za-z0-9_.$-]{0,127}'
const REGION = '[A-Za-z0-9][A-Za-z0-9_-]{0,63}'

/** `services/{service}[.{qualifier}]/functions/{function}`, or of the younger generation `functions/{function}[/{qualifier}]`. */
const ARN =
  /^acs:fc:[^:\s]*:(?<owner>[^:\s]*):(?:services\/(?<namespace>[^/.\s]+)(?:\.(?<qualifier>[^/\s]*))?\/functions\/(?<name>[^/\s]+)|functions\/[^/\s]+(?:\/[^/\s]+)?)$/

/** With the version, or `!{alias}`, or neither. */
const URN = new RegExp(
  `^urn:fss:${REGION}:[^:\\s]+:function:(?<namespace>${NAME}):(?<name>${NAME})(?::(?<qualifier>!?${QUALIFIER}))?$`,
)

/**
 * Without an owner it is whoever names it. Sources: the vendor's page on access management of its functions, and its event bus's on
 * targets, which alone puts a qualifier behind.
 */
const SIX_SEGMENTS = new RegExp(
  `^qcs::scf:(?:${REGION})?:(?:uin/(?<owner>\\d{1,20}))?:namespace/(?<namespace>${NAME})/function/(?<name>${NAME})(?:/(?<qualifier>${QUALIFIER}))?$`,
)

/** The names in full of each API, and how it writes the state that changes. */
const FORMS: readonly { readonly form: RegExp; readonly latest: readonly string[] }[] = [
  { form: ARN, latest: ['', 'LATEST'] },
  { form: URN, latest: ['latest', 'LATEST'] },
  { form: SIX_SEGMENTS, latest: ['$LATEST', 'LATEST'] },
]

/** A name in full is at most this long: longer text is none. */
const MAX_CHARS = 1024

/**
 * Reads the name in full that any of the APIs has for a function, whichever API it was made through:
 *
 * - `acs:fc:{region}:{account}:services/{service}[.{qualifier}]/functions/{function}`
 * - `urn:fss:{region}:{project}:function:{package}:{function}[:{version}]`, or `!{alias}` as the last
 * - `qcs::scf:{region}:uin/{uin}:namespace/{namespace}/function/{function}[/{qualifier}]`
 *
 * Any region may be named: this server is every region. So may any project: projects name no tenants. Those of other accounts, and of
 * the generation without services, are elsewhere. Whether the function exists is not asked.
 *
 * @param account Whose function is meant, as the server names it.
 * @returns undefined for what is no function's name in full
 */
export function functionNamed(text: string, account: string): NamedFunction | undefined {
  if (text.length > MAX_CHARS) return undefined
  for (const { form, latest } of FORMS) {
    const groups = form.exec(text)?.groups
    if (groups !== undefined) return leadsTo(groups, latest, account)
  }
  return undefined
}

function leadsTo(
  { owner, namespace, name, qualifier }: Readonly<Record<string, string | undefined>>,
  latest: readonly string[],
  account: string,
): NamedFunction {
  const isOwn = owner === undefined || owner === account || owner === uinOf(account)
  if (!isOwn || namespace === undefined || name === undefined) return { kind: 'elsewhere' }
  const target = { account, namespace, name }
  if (qualifier === undefined || latest.includes(qualifier)) return { kind: 'function', target }
  return { kind: 'function', target: { ...target, qualifier: qualifier.replace(/^!/, '') } }
}

/** The number of an account where accounts are named by `uin`: twelve digits, here derived from the account. */
export function uinOf(accountId: string): string {
  return `100${digitsOf('uin', accountId, 9)}`
}

/** Decimal digits that belong to an account, always the same ones. */
export function digitsOf(purpose: string, accountId: string, count: number): string {
  const digest = createHash('sha256').update(`${purpose} ${accountId}`).digest('hex')
  return BigInt(`0x${digest}`).toString().slice(0, count)
}
