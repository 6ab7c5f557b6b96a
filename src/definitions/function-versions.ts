import type { Definitions } from '../engine/catalogue.ts'
import { functionKey, versionKey } from '../engine/keys.ts'
import type { FunctionName } from '../model/function.ts'
import type { FunctionRecord, VersionRecord } from '../store/definition-store.ts'

/** A published version that holds a function, and the function as it is there. */
export interface FunctionVersionRecords {
  readonly version: VersionRecord
  readonly state: FunctionRecord
}

/** The record of a version that holds a function, its own or its namespace's; undefined for the latest state. */
export function findVersion(
  definitions: Definitions,
  { account, namespace, name }: FunctionName,
  version: string,
): VersionRecord | undefined {
  const record =
    definitions.get('version', versionKey(account, namespace, version, name)) ??
    definitions.get('version', versionKey(account, namespace, version))
  return record?.value
}

/** The versions that a function has by itself, in the order of their names. */
export function ownVersions(
  definitions: Definitions,
  target: FunctionName,
): readonly FunctionVersionRecords[] {
  return versionsUnder(definitions, target, versionKey(target.account, target.namespace, '', target.name))
}

/** All versions that hold a function: its own, then those of its namespace, each in the order of their names. */
export function allVersions(
  definitions: Definitions,
  target: FunctionName,
): readonly FunctionVersionRecords[] {
  const common = versionKey(target.account, target.namespace, '')
  return [...ownVersions(definitions, target), ...versionsUnder(definitions, target, common)]
}

function versionsUnder(
  definitions: Definitions,
  { account, namespace, name }: FunctionName,
  prefix: string,
): readonly FunctionVersionRecords[] {
  return definitions.list('version', prefix).flatMap(({ value: version }) => {
    const state = definitions.get('function', functionKey(account, namespace, name, version.version))
    return state === undefined ? [] : [{ version, state: state.value }]
  })
}
