import { ownVersions } from '../../definitions/function-versions.ts'
import { QUOTA, requireQuota } from '../../definitions/quotas.ts'
import { putCap } from '../../definitions/settings.ts'
import type { Definitions, Draft } from '../../engine/catalogue.ts'
import { documentKey, qualifiedKey } from '../../engine/keys.ts'
import { LATEST, type FunctionName } from '../../model/function.ts'
import type { FunctionRecord } from '../../store/definition-store.ts'
import { ScfError } from './errors.ts'
import { integerField } from './fields.ts'
import { DIALECT, type Operation } from './operation.ts'
import { requireLatest, targetOf } from './targets.ts'

/**
 * Memory of all functions of an account together, MB, and what of it no function may reserve. Source: the vendor's quota
 * page, for its large regions. Only settings are held to it: what may really run at once is the server's own limit.
 */
export const TOTAL_MEMORY_MIB = 128_000
export const UNRESERVED_MEMORY_MIB = 12_800

const RESERVE = 'reserved concurrency'

/**
 * Keeps memory of the account for a function, and caps the function by it: each of its states runs in as many instances
 * as fit. 0 blocks it.
 *
 * @throws {ScfError} `LimitExceeded.FunctionReservedConcurrencyMemory`
 */
export const putReservedConcurrencyConfig: Operation = async (call, { catalogue, now }) => {
  const target = targetOf(call)
  const mib = integerField(call.params, 'ReservedConcurrencyMem', { required: true })
  await catalogue.change((draft) => {
    const head = requireLatest(draft, target)
    requireReservable(draft, target, mib)
    const key = reserveKey(target)
    const before = draft.get('document', key)
    const nowMs = now()
    if (before === undefined) {
      const all = `${target.account}/`
      requireQuota(draft, 'document', all, QUOTA.documentsPerAccount, 'documents in the account')
    }
    draft.put('document', key, {
      account: target.account,
      owner: `${target.namespace}/${target.name}`,
      name: RESERVE,
      content: { mib },
      createdAtMs: before?.value.createdAtMs ?? nowMs,
      modifiedAtMs: nowMs,
    })
    applyReserve(draft, head.value, nowMs)
  })
  return {}
}

/** `ReservedMem` is null where nothing is reserved. */
export const getReservedConcurrencyConfig: Operation = (call, { catalogue }) => {
  const head = requireLatest(catalogue, targetOf(call))
  return { ReservedMem: reservedMib(catalogue, head.value) ?? null }
}

/** Takes back the reserve and its cap. A function without any is left as it is. */
export const deleteReservedConcurrencyConfig: Operation = async (call, { catalogue }) => {
  const target = targetOf(call)
  await catalogue.change((draft) => {
    requireLatest(draft, target)
    draft.delete('document', reserveKey(target))
    for (const { version } of statesOf(draft, target))
      draft.delete('scaling', qualifiedKey(target.account, target.namespace, target.name, version))
  })
  return {}
}

/**
 * Holds each state of a function to what its reserve has room for, where it has one. For whoever changed a function's
 * memory or gave it another version.
 */
export function applyReserve(draft: Draft, target: FunctionName, nowMs: number): void {
  const mib = writtenReserveMib(draft, target)
  if (mib === undefined) return
  const { account, namespace, name } = target
  for (const { version, spec } of statesOf(draft, target)) {
    const before = draft.get('scaling', qualifiedKey(account, namespace, name, version))
    const maxInstances = Math.floor(mib / spec.memoryMib)
    if (before?.value.maxInstances !== maxInstances) putCap(draft, target, version, maxInstances, nowMs)
  }
}

/** Memory reserved for a function, MB: as it was set here, or what a cap set through another API comes to. */
export function reservedMib(definitions: Definitions, head: FunctionRecord): number | undefined {
  const { account, namespace, name, spec } = head
  const cap = definitions.get('scaling', qualifiedKey(account, namespace, name, LATEST))?.value.maxInstances
  if (cap === undefined) return undefined
  const written = writtenReserveMib(definitions, head)
  const isCurrent = written !== undefined && Math.floor(written / spec.memoryMib) === cap
  return isCurrent ? written : cap * spec.memoryMib
}

function reserveKey({ account, namespace, name }: FunctionName): string {
  return documentKey(account, `${namespace}/${name}`, DIALECT, RESERVE)
}

function writtenReserveMib(definitions: Definitions, target: FunctionName): number | undefined {
  const mib = definitions.get('document', reserveKey(target))?.value.content['mib']
  return typeof mib === 'number' ? mib : undefined
}

/** The latest state of a function and its own published ones. */
function statesOf(definitions: Definitions, target: FunctionName): readonly FunctionRecord[] {
  const published = ownVersions(definitions, target).map(({ state }) => state)
  return [requireLatest(definitions, target).value, ...published]
}

/** All reserves together leave the rest of the account something. */
function requireReservable(definitions: Definitions, target: FunctionName, mib: number): void {
  const own = reserveKey(target)
  const others = definitions
    .list('document', `${target.account}/`)
    .filter(
      ({ key, value }) => key !== own && key === documentKey(target.account, value.owner, DIALECT, RESERVE),
    )
    .reduce((sum, { value }) => sum + Number(value.content['mib']), 0)
  const most = TOTAL_MEMORY_MIB - UNRESERVED_MEMORY_MIB
  if (others + mib > most)
    throw new ScfError(
      'LimitExceeded.FunctionReservedConcurrencyMemory',
      `all functions together may reserve ${most} MB; ${others} MB are reserved by others`,
    )
}
