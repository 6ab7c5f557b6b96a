import { isJsonObject } from '../../model/json.ts'
import type { FunctionRecord } from '../../store/definition-store.ts'
import { invalidValue, objectListField, textField, textListField } from './fields.ts'
import type { JsonObject } from './operation.ts'
import { settingOf } from './shown-settings.ts'
import type { Tags } from './tags.ts'

/** Source of these numbers: the vendor's ListFunctions page. */
const MAX_FILTERS = 10
const MAX_VALUES = 20

/** What a filter is compared with: one text, or several of which one must fit. */
const COMPARED: Readonly<Record<string, (record: FunctionRecord) => readonly unknown[]>> = {
  VpcId: (record) => [member(settingOf(record, 'VpcConfig'), 'VpcId')],
  SubnetId: (record) => [member(settingOf(record, 'VpcConfig'), 'SubnetId')],
  ClsTopicId: (record) => [settingOf(record, 'ClsTopicId')],
  ClsLogsetId: (record) => [settingOf(record, 'ClsLogsetId')],
  Role: (record) => [record.facts['role'] ?? ''],
  CfsId: (record) => fileSystems(record, 'CfsId'),
  CfsMountInsId: (record) => fileSystems(record, 'MountInsId'),
  Eip: () => [],
  Status: () => ['Active'],
  Runtime: (record) => [record.spec.runtime],
  FunctionType: () => ['Event'],
  Type: () => ['Event'],
  PublicNetStatus: (record) => [member(settingOf(record, 'PublicNetConfig'), 'PublicNetStatus')],
  AsyncRunEnable: (record) => [settingOf(record, 'AsyncRunEnable')],
  TraceEnable: (record) => [settingOf(record, 'TraceEnable')],
  Stamp: () => ['Default'],
}

/** `Filters` of ListFunctions: all of them must fit, one value of each; `tag-<key>` looks at tags. @throws {ScfError} */
export function readFilters(params: JsonObject): (record: FunctionRecord, tags: Tags) => boolean {
  const code = 'InvalidParameterValue.Filters'
  const filters = (objectListField(params, 'Filters', { max: MAX_FILTERS, code }) ?? []).map((entry) => {
    const name = textField(entry, 'Name', { required: true, code })
    const values = textListField(entry, 'Values', { required: true, max: MAX_VALUES, code }) ?? []
    const compared = Object.hasOwn(COMPARED, name) ? COMPARED[name] : undefined
    if (compared === undefined && !name.startsWith('tag-'))
      throw invalidValue('Filters', `${Object.keys(COMPARED).join(', ')} or tag-<key>`, name, code)
    const tagKey = name.slice('tag-'.length)
    return (record: FunctionRecord, tags: Tags) => {
      const found = compared?.(record) ?? (Object.hasOwn(tags, tagKey) ? [tags[tagKey]] : [])
      return found.some((value) => typeof value === 'string' && values.includes(value))
    }
  })
  return (record, tags) => filters.every((fits) => fits(record, tags))
}

function fileSystems(record: FunctionRecord, name: string): readonly unknown[] {
  const list = member(settingOf(record, 'CfsConfig'), 'CfsInsList')
  return Array.isArray(list) ? list.map((entry: unknown) => member(entry, name)) : []
}

function member(value: unknown, name: string): unknown {
  return isJsonObject(value) ? value[name] : undefined
}
