import { allVersions, ownVersions, type FunctionVersionRecords } from '../../definitions/function-versions.ts'
import { isVersionTaken, isUnchangedSince, publishFunction } from '../../definitions/publish.ts'
import { removeFunctionVersion, removeSettingsThrough } from '../../definitions/remove.ts'
import { putCap } from '../../definitions/settings.ts'
import type { Definitions, Draft } from '../../engine/catalogue.ts'
import { aliasKey, qualifiedKey, versionKey } from '../../engine/keys.ts'
import { LATEST } from '../../model/function.ts'
import type { FunctionRecord } from '../../store/definition-store.ts'
import { additionalVersionsOf, aliasesOf } from './alias-records.ts'
import { codeFactsOf } from './code-facts.ts'
import { FssError } from './errors.ts'
import { stringField } from './fields.ts'
import { versionBody, versionItem } from './function-body.ts'
import { ownOf } from './function-edit.ts'
import { QUOTA } from './limits.ts'
import { VERSION_NAME } from './names.ts'
import type { Operation } from './operation.ts'
import { FUNCTION_PAGES, pageMembers, pageOf } from './paging.ts'
import { requireAt, requireHead, urnOf } from './target.ts'
import { LATEST_VERSION, type FunctionUrn } from './urn.ts'

const SHA512_HEX = /^[0-9a-f]{128}$/i
const DESCRIPTION_CHARS = 512

/**
 * POST F/U/versions: freezes the latest state.
 *
 * @throws {FssError} `FSS.1015`, `FSS.1062`, `FSS.1063`: the name; `FSS.1016`: nothing was changed since the newest version;
 *   `FSS.0403`: too many versions
 */
export const createFunctionVersion: Operation = async (call, rooms) => {
  const urn = urnOf(call)
  const code = 'FSS.1015'
  const given = stringField(call.body, 'version', { max: 64, code }) ?? ''
  if (given !== '' && (!VERSION_NAME.test(given) || given === LATEST || given === LATEST_VERSION))
    throw new FssError(code, `invalid parameter version '${given}'`)
  const description =
    stringField(call.body, 'description', { max: DESCRIPTION_CHARS, code: 'FSS.1019' }) ?? ''
  const digest = stringField(call.body, 'digest') ?? ''
  const record = await rooms.catalogue.change((draft) => {
    const nowMs = rooms.now()
    const head = requireHead(draft, call.accountId, urn)
    requireDigest(head.value, digest)
    const published = ownVersions(draft, head.value)
    if (published.length + 1 >= QUOTA.versions)
      throw new FssError('FSS.0403', `a function may have no more than ${QUOTA.versions} versions`)
    if (newest(published).some(({ state }) => isUnchangedSince(head.value, state)))
      throw new FssError('FSS.1016', 'neither code nor configuration was changed since the newest version')
    const name = given === '' ? freeName(draft, head.value, nowMs) : given
    requireFreeName(draft, head.value, name)
    publishFunction(draft, head, { name, description, nowMs })
    copyCap(draft, head.value, name, nowMs)
    return requireAt(draft, call.accountId, { ...urn, qualifier: name, isAlias: false }).value
  })
  return { status: 200, body: versionBody(rooms.catalogue, call, record) }
}

/** GET F/U/versions: the latest state, then the versions from the newest to the oldest. */
export const listFunctionVersions: Operation = (call, { catalogue }) => {
  const head = requireHead(catalogue, call.accountId, urnOf(call)).value
  const page = pageOf(call.query, [head, ...snapshotsOf(catalogue, head)], FUNCTION_PAGES)
  return {
    status: 200,
    body: {
      versions: page.items.map((value) => versionItem(catalogue, call, value)),
      ...pageMembers(page),
    },
  }
}

/**
 * Deletes the version a URN leads to, with the aliases and triggers that lead to it.
 *
 * @throws {FssError} `FSS.1015`: an alias of the latest state; `FSS.1094`: an alias sends a share of calls to it
 * @throws {EngineError} `caller/version-not-found`: also where a version belongs to the whole package
 */
export function removeVersionThrough(draft: Draft, account: string, urn: FunctionUrn): void {
  const { namespace, name, version } = requireAt(draft, account, urn).value
  if (version === LATEST)
    throw new FssError('FSS.1015', "version 'latest' cannot be deleted: name the function without a version")
  const aliases = aliasesOf(draft, { account, namespace, name })
  if (aliases.some(({ value }) => additionalVersionsOf(value).includes(version)))
    throw new FssError('FSS.1094', `version '${version}' is an additional version of an alias`)
  removeFunctionVersion(draft, account, namespace, name, version)
  const gone = new Set([version])
  for (const { key, value } of aliases) {
    if (value.version !== version) continue
    gone.add(value.name)
    draft.delete('alias', key)
    removeSettingsThrough(draft, account, namespace, name, value.name)
  }
  for (const { key, value } of draft.list('trigger', qualifiedKey(account, namespace, name, '')))
    if (gone.has(value.qualifier)) draft.delete('trigger', key)
}

/** The newest of some versions: several, when they were made within one millisecond. */
function newest(versions: readonly FunctionVersionRecords[]): readonly FunctionVersionRecords[] {
  const atMs = Math.max(...versions.map(({ version }) => version.createdAtMs))
  return versions.filter(({ version }) => version.createdAtMs === atMs)
}

/** All snapshots of a function, those that were published with its whole package included, newest first. */
function snapshotsOf(definitions: Definitions, head: FunctionRecord): readonly FunctionRecord[] {
  return allVersions(definitions, head)
    .toSorted((a, b) => b.version.createdAtMs - a.version.createdAtMs)
    .map(({ state }) => state)
}

/** Whatever else clients send there is no digest of ours: their model calls it an MD5. */
function requireDigest(head: FunctionRecord, digest: string): void {
  if (SHA512_HEX.test(digest) && digest.toLowerCase() !== codeFactsOf(head.spec.code, ownOf(head)).digest)
    throw new FssError('FSS.0400', 'invalid parameter digest: it is not that of the latest code')
}

/** `v20261121-100000`, with a number when several are made within a second. */
function freeName(draft: Draft, { account, namespace, name }: FunctionRecord, nowMs: number): string {
  const stamp = new Date(nowMs).toISOString().replaceAll(/[-:]/g, '').slice(0, 15).replace('T', '-')
  for (let number = 1; ; number += 1) {
    const version = number === 1 ? `v${stamp}` : `v${stamp}-${number}`
    if (!isVersionTaken(draft, account, namespace, name, version)) return version
  }
}

/** A version and an alias of one function may not have the same name: callers through other APIs could not tell them apart. */
function requireFreeName(draft: Draft, { account, namespace, name }: FunctionRecord, version: string): void {
  if (
    isVersionTaken(draft, account, namespace, name, version) ||
    draft.get('version', versionKey(account, namespace, version)) !== undefined
  )
    throw new FssError('FSS.1062', `the version '${version}' exists`)
  if (
    draft.get('alias', aliasKey(account, namespace, version, name)) !== undefined ||
    draft.get('alias', aliasKey(account, namespace, version)) !== undefined
  )
    throw new FssError('FSS.1063', `there is an alias '${version}'`)
}

/** The cap of instances is part of what is published. */
function copyCap(draft: Draft, head: FunctionRecord, version: string, nowMs: number): void {
  const cap = draft.get('scaling', qualifiedKey(head.account, head.namespace, head.name, LATEST))
  if (cap !== undefined) putCap(draft, head, version, cap.value.maxInstances, nowMs)
}
