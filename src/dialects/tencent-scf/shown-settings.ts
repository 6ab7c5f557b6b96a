import { isJsonObject } from '../../model/json.ts'
import type { Extras, FunctionRecord } from '../../store/definition-store.ts'
import { extrasOf } from '../extras.ts'
import {
  booleanField,
  field,
  flagField,
  flagText,
  integerField,
  objectField,
  objectListField,
  textField,
  wordField,
} from './fields.ts'
import { DIALECT, type JsonObject } from './operation.ts'

/** Source of these numbers: the vendor's CreateFunction page and answers of GetAccount. */
export const LONGEST_INIT_TIMEOUT_S = 300
const DEFAULT_INIT_TIMEOUT_S = 65
const MAX_FILE_SYSTEMS = 20
const MAX_TEXT_CHARS = 1024

/** What is stored and shown again and has no effect here, in the member names of the API. */
export type ShownSettings = Readonly<Record<string, unknown>>

/** What GetFunction answers where nothing was set, as for functions that other APIs made. */
const DEFAULTS: ShownSettings = {
  InitTimeout: DEFAULT_INIT_TIMEOUT_S,
  VpcConfig: { VpcId: '', SubnetId: '' },
  InstallDependency: 'FALSE',
  ClsLogsetId: '',
  ClsTopicId: '',
  DeadLetterConfig: { Type: '', Name: '', FilterType: '' },
  PublicNetConfig: { PublicNetStatus: 'ENABLE', EipConfig: { EipStatus: 'DISABLE', EipAddress: [] } },
  CfsConfig: { CfsInsList: [] },
  AsyncRunEnable: 'FALSE',
  TraceEnable: 'FALSE',
  L5Enable: 'FALSE',
  ProtocolType: '',
  ProtocolParams: null,
  InstanceConcurrencyConfig: null,
  DnsCache: 'FALSE',
  IntranetConfig: { IpFixed: 'DISABLE', IpAddress: [] },
}

const FLAGS = ['InstallDependency', 'TraceEnable', 'L5Enable', 'DnsCache'] as const
const CFS_MEMBERS = [
  'UserId',
  'UserGroupId',
  'CfsId',
  'MountInsId',
  'LocalMountDir',
  'RemoteMountDir',
  'IpAddress',
  'MountVpcId',
  'MountSubnetId',
] as const
/** Sources: the vendor's CreateFunction page, and that of its message queues on names. */
const DEAD_LETTER_TYPE = /^(?:CMQ|TDMQ)-(?:QUEUE|TOPIC)$/
const DEAD_LETTER_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/
const SWITCH = ['ENABLE', 'DISABLE'] as const

/**
 * The members that are only shown again, after a request: what it names over what was before.
 *
 * @param before Undefined for a function that is being made, which alone may be told to run its calls in the background.
 * @throws {ScfError}
 */
export function readShown(params: JsonObject, before: ShownSettings | undefined): ShownSettings {
  const given: Record<string, unknown> = {
    InitTimeout: integerField(params, 'InitTimeout', {
      min: 1,
      max: LONGEST_INIT_TIMEOUT_S,
      code: 'LimitExceeded.InitTimeout',
    }),
    VpcConfig: texts(params, 'VpcConfig', ['VpcId', 'SubnetId']),
    ClsLogsetId: textField(params, 'ClsLogsetId', { max: MAX_TEXT_CHARS }),
    ClsTopicId: textField(params, 'ClsTopicId', { max: MAX_TEXT_CHARS }),
    DeadLetterConfig: readDeadLetters(params),
    PublicNetConfig: readPublicNet(params),
    CfsConfig: readFileSystems(params),
    ProtocolType: textField(params, 'ProtocolType', { max: 16 }),
    ProtocolParams: readProtocol(params),
    IntranetConfig: readIntranet(params),
    IgnoreSysLog: booleanField(params, 'IgnoreSysLog'),
  }
  if (before === undefined) given['AsyncRunEnable'] = flag(params, 'AsyncRunEnable')
  for (const name of FLAGS) given[name] = flag(params, name)
  const shown: Record<string, unknown> = { ...before }
  for (const [name, value] of Object.entries(given)) if (value !== undefined) shown[name] = value
  const concurrency = readInstanceConcurrency(params)
  if (concurrency !== undefined) shown['InstanceConcurrencyConfig'] = concurrency
  return shown
}

/** This dialect's shown settings of a function, none for one that another API made. */
export function shownOf(record: { readonly extras: Extras }): ShownSettings {
  const settings = extrasOf(record.extras, DIALECT)['settings']
  return isJsonObject(settings) ? settings : {}
}

/** One shown setting, or the vendor's default. */
export function settingOf(record: FunctionRecord, name: string): unknown {
  return shownOf(record)[name] ?? DEFAULTS[name]
}

/** All of them as GetFunction answers them. */
export function shownBody(record: FunctionRecord): JsonObject {
  const shown = shownOf(record)
  return Object.fromEntries(
    Object.entries(DEFAULTS).map(([name, fallback]) => [name, shown[name] ?? fallback]),
  )
}

/** Whether every call of a function runs in the background, whoever waits for it. */
export function isAsyncRun(record: FunctionRecord): boolean {
  return shownOf(record)['AsyncRunEnable'] === 'TRUE'
}

function flag(params: JsonObject, name: string): string | undefined {
  const value = flagField(params, name)
  return value === undefined ? undefined : flagText(value)
}

/** An empty name takes the target away. */
function readDeadLetters(params: JsonObject): Record<string, string> | undefined {
  const code = 'InvalidParameterValue.DeadLetterConfig'
  const given = texts(params, 'DeadLetterConfig', ['Type', 'Name', 'FilterType'], code)
  if (given === undefined || given['Name'] === '') return given
  textField(given, 'Type', { required: true, pattern: DEAD_LETTER_TYPE, code })
  textField(given, 'Name', { required: true, pattern: DEAD_LETTER_NAME, code })
  return given
}

/** An object of texts; members that are absent are empty. */
function texts(
  params: JsonObject,
  name: string,
  members: readonly string[],
  code: 'InvalidParameterValue' | 'InvalidParameterValue.DeadLetterConfig' = 'InvalidParameterValue',
): Record<string, string> | undefined {
  const given = objectField(params, name, { code })
  if (given === undefined) return undefined
  return Object.fromEntries(
    members.map((member) => [member, textField(given, member, { max: MAX_TEXT_CHARS, code }) ?? '']),
  )
}

function readPublicNet(params: JsonObject): JsonObject | undefined {
  const code = 'InvalidParameterValue.PublicNetConfig'
  const given = objectField(params, 'PublicNetConfig', { code })
  if (given === undefined) return undefined
  const eip = objectField(given, 'EipConfig', { code })
  const eipStatus = eip && wordField(eip, 'EipStatus', SWITCH, { code: 'InvalidParameterValue.EipConfig' })
  return {
    PublicNetStatus: wordField(given, 'PublicNetStatus', SWITCH, { code }) ?? 'ENABLE',
    EipConfig: { EipStatus: eipStatus ?? 'DISABLE', EipAddress: [] },
  }
}

function readFileSystems(params: JsonObject): JsonObject | undefined {
  const given = objectField(params, 'CfsConfig')
  if (given === undefined) return undefined
  const list = objectListField(given, 'CfsInsList', { max: MAX_FILE_SYSTEMS }) ?? []
  return {
    CfsInsList: list.map((entry) =>
      Object.fromEntries(
        CFS_MEMBERS.map((member) => [member, textField(entry, member, { max: MAX_TEXT_CHARS }) ?? '']),
      ),
    ),
  }
}

function readProtocol(params: JsonObject): JsonObject | undefined {
  const given = objectField(params, 'ProtocolParams')
  const webSocket = given && objectField(given, 'WSParams')
  if (webSocket === undefined) return undefined
  return { WSParams: { IdleTimeOut: integerField(webSocket, 'IdleTimeOut', { min: 1, max: 1800 }) ?? 15 } }
}

function readIntranet(params: JsonObject): JsonObject | undefined {
  const given = objectField(params, 'IntranetConfig')
  if (given === undefined) return undefined
  return { IpFixed: wordField(given, 'IpFixed', SWITCH) ?? 'DISABLE', IpAddress: [] }
}

/** @returns Undefined: leave it; null: an empty `DynamicEnabled` clears it. */
function readInstanceConcurrency(params: JsonObject): JsonObject | null | undefined {
  const name = 'InstanceConcurrencyConfig'
  const given = objectField(params, name)
  if (given === undefined) return undefined
  if (field(given, 'DynamicEnabled') === '') return null
  const session = objectField(given, 'SessionConfig')
  const nodes = objectListField(given, 'MixNodeConfig', { max: 20 })
  const dynamic = flag(given, 'DynamicEnabled')
  const isolation = flag(given, 'InstanceIsolationEnabled')
  const type = textField(given, 'Type', { max: 64 })
  return {
    ...(dynamic === undefined ? {} : { DynamicEnabled: dynamic }),
    MaxConcurrency: integerField(given, 'MaxConcurrency', { min: 1, max: 100 }) ?? 2,
    ...(isolation === undefined ? {} : { InstanceIsolationEnabled: isolation }),
    ...(type === undefined ? {} : { Type: type }),
    ...(nodes === undefined
      ? {}
      : {
          MixNodeConfig: nodes.map((node) => ({
            NodeSpec: textField(node, 'NodeSpec', { max: 64 }) ?? '',
            Num: integerField(node, 'Num') ?? 0,
          })),
        }),
    ...(session === undefined ? {} : { SessionConfig: readSession(session) }),
  }
}

function readSession(given: JsonObject): JsonObject {
  const session: Record<string, unknown> = {}
  for (const member of ['SessionSource', 'SessionName', 'SessionPath', 'IdleTimeoutStrategy'])
    if (field(given, member) !== undefined) session[member] = textField(given, member, { max: 256 })
  for (const member of [
    'MaximumConcurrencySessionPerInstance',
    'MaximumTTLInSeconds',
    'MaximumIdleTimeInSeconds',
  ])
    if (field(given, member) !== undefined) session[member] = integerField(given, member)
  return session
}
