import type { FssCode } from './errors.ts'

/** What the API knows of one kind of trigger. */
export interface TriggerType {
  /** Codes for event data that is wrong, for a trigger that does not exist, and for one that exists. */
  readonly invalid: FssCode
  readonly missing: FssCode
  readonly exists: FssCode
  /** Whether it can be switched off. Source: the vendor's UpdateTrigger page. */
  readonly canBeDisabled?: boolean
  /** Whether it is off until it is switched on. Source: the vendor's CreateFunctionTrigger page. */
  readonly startsDisabled?: boolean
}

const OTHER = { invalid: 'FSS.0400', missing: 'FSS.1131', exists: 'FSS.1307' } as const
const KAFKA = { invalid: 'FSS.1112', missing: 'FSS.1174', exists: 'FSS.1150' } as const
const APIG = { invalid: 'FSS.1107', missing: 'FSS.1138', exists: 'FSS.1146' } as const

/** Every kind of trigger there is. */
export const TRIGGER_TYPES: ReadonlyMap<string, TriggerType> = new Map<string, TriggerType>([
  ['TIMER', { invalid: 'FSS.1109', missing: 'FSS.1140', exists: 'FSS.1148', canBeDisabled: true }],
  ['APIG', APIG],
  ['DEDICATEDGATEWAY', { ...APIG, invalid: 'FSS.1417' }],
  ['APIC', APIG],
  ['SMN', { invalid: 'FSS.1102', missing: 'FSS.1132', exists: 'FSS.1141' }],
  ['OBS', { invalid: 'FSS.1106', missing: 'FSS.1136', exists: 'FSS.1145' }],
  ['KAFKA', { ...KAFKA, canBeDisabled: true, startsDisabled: true }],
  ['OPENSOURCEKAFKA', { ...KAFKA, canBeDisabled: true, startsDisabled: true }],
  ['DDS', { ...OTHER, canBeDisabled: true, startsDisabled: true }],
  ['DMS', { ...OTHER, canBeDisabled: true }],
  ['LTS', { ...OTHER, canBeDisabled: true }],
  ['CTS', OTHER],
  ['DIS', OTHER],
  ['RABBITMQ', OTHER],
  ['GAUSSMONGO', OTHER],
  ['EVENTGRID', OTHER],
  ['IOTDA', OTHER],
])
