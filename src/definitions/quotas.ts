import type { Draft } from '../engine/catalogue.ts'
import type { RecordKind } from '../store/definition-store.ts'

/**
 * How many records there may be, whoever makes them. The numbers are ours, far above what a deployment needs: they keep
 * definitions, which live in memory, from growing without end. A vendor's own, lower numbers are its dialect's.
 */
export const QUOTA = {
  namespacesPerAccount: 1000,
  functionsPerNamespace: 1000,
  /** Of a namespace as a whole, and again of each function by itself. */
  versions: 1000,
  aliases: 1000,
  /** Functions of all namespaces, each counted once for itself and once for every published version that holds it. */
  functionStatesPerAccount: 100_000,
  triggersPerFunction: 100,
  layersPerAccount: 1000,
  documentsPerAccount: 10_000,
  /** Asynchronous, scaling and provision settings, each. */
  settingsPerAccount: 10_000,
} as const

/** One more would be too many. Every dialect answers it with its vendor's code for such limits. */
export class QuotaExceeded extends Error {
  override readonly name = 'QuotaExceeded'
  readonly limit: number
  /** What there would be too many of, and of what: `services in the account`. */
  readonly noun: string

  constructor(limit: number, noun: string) {
    super(`there may be no more than ${limit} ${noun}`)
    this.limit = limit
    this.noun = noun
  }
}

/**
 * Makes sure that another record may be made.
 *
 * @param prefix Of the keys of those that count.
 * @param noun What there would be too many of, in the caller's words: it is told to people.
 * @param added How many are about to be made.
 * @throws {QuotaExceeded}
 */
export function requireQuota(
  draft: Draft,
  kind: RecordKind,
  prefix: string,
  limit: number,
  noun: string,
  added = 1,
): void {
  if (draft.count(kind, prefix) + added > limit) throw new QuotaExceeded(limit, noun)
}

/** Makes sure that an account may have so many more functions, those of published versions counted. @throws {QuotaExceeded} */
export function requireFunctionStates(draft: Draft, account: string, added: number): void {
  const noun = 'functions in the account, those of published versions included'
  requireQuota(draft, 'function', `${account}/`, QUOTA.functionStatesPerAccount, noun, added)
}
