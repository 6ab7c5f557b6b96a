import { isJsonObject } from '../../model/json.ts'
import type { FunctionRecord } from '../../store/definition-store.ts'
import type { Destination } from '../../store/outbox.ts'
import { DIALECT } from './operation.ts'
import { settingOf } from './shown-settings.ts'

/** The queue or topic that a function's dead letters go to, which only the vendor has; undefined when there is none. */
export function deadLetterOf(record: FunctionRecord): Destination | undefined {
  const config = settingOf(record, 'DeadLetterConfig')
  if (!isJsonObject(config)) return undefined
  const { Type, Name } = config
  if (typeof Type !== 'string' || typeof Name !== 'string' || Name === '') return undefined
  return { dialect: DIALECT, target: { kind: 'unreachable', name: `${Type}/${Name}` } }
}
