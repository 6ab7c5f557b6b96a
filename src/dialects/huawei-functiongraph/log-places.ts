import { isJsonObject } from '../../model/json.ts'
import { extrasOf } from '../extras.ts'
import type { FunctionRecord } from '../../store/definition-store.ts'
import { derivedId } from './names.ts'
import { DIALECT } from './operation.ts'

const DEFAULT_GROUP = 'functiongraph.log.group.default'

/** Where a function's log lines are read, in the words of the vendor's log service. */
export interface LogPlace {
  readonly groupId: string
  readonly groupName: string
  readonly streamId: string
  readonly streamName: string
}

/** Where the records of an account's asynchronous calls would be read. */
export function projectLogPlaceOf(account: string): LogPlace {
  return {
    groupId: derivedId('log-group', account),
    groupName: DEFAULT_GROUP,
    streamId: derivedId('log-stream', account, 'async-status'),
    streamName: 'functiongraph.async.status',
  }
}

/** The place its settings name, or one that is always the same for the account and the function. */
export function logPlaceOf({ account, namespace, name, functionId, extras }: FunctionRecord): LogPlace {
  const config = extrasOf(extras, DIALECT)['log_config']
  const given = (member: string): string | undefined => {
    const value = isJsonObject(config) ? config[member] : undefined
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  return {
    groupId: given('group_id') ?? derivedId('log-group', account),
    groupName: given('group_name') ?? DEFAULT_GROUP,
    streamId: given('stream_id') ?? derivedId('log-stream', functionId),
    streamName: given('stream_name') ?? `${namespace}_${name}`,
  }
}
