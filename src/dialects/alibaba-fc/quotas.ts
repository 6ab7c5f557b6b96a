import type { Draft } from '../../engine/catalogue.ts'
import type { RecordKind } from '../../store/store.ts'
import { FcError } from './errors.ts'

/**
 * How many resources there may be. The vendor publishes none of these numbers: they are ours, far above what a
 * deployment needs, and keep definitions, which live in memory, from growing without end.
 */
export const QUOTA = {
  servicesPerAccount: 1000,
  functionsPerService: 1000,
  versionsPerService: 1000,
  aliasesPerService: 1000,
  /** Functions of all services, each counted once for itself and once for every published version that holds it. */
  functionStatesPerAccount: 100_000,
  /** These need no function to exist. */
  onDemandConfigsPerAccount: 10_000,
} as const

/**
 * Makes sure that another resource may be made.
 *
 * @param noun What there would be too many of, and of what: `services in the account`.
 * @param prefix Of the keys of those that count.
 * @param added How many are about to be made.
 * @throws {FcError} LimitExceeded
 */
export function requireQuota(
  draft: Draft,
  kind: RecordKind,
  prefix: string,
  limit: number,
  noun: string,
  added = 1,
): void {
  if (draft.count(kind, prefix) + added > limit)
    throw new FcError('LimitExceeded', `there may be no more than ${limit} ${noun}`)
}

/** @throws {FcError} LimitExceeded */
export function requireFunctionStates(draft: Draft, account: string, added: number): void {
  const noun = 'functions in the account, those of published versions included'
  requireQuota(draft, 'function', `${account}/`, QUOTA.functionStatesPerAccount, noun, added)
}
