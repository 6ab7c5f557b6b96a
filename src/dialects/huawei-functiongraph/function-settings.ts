import { extrasOf } from '../extras.ts'
import type { FunctionSpec } from '../../model/function.ts'
import type { Extras, FunctionRecord } from '../../store/definition-store.ts'
import { FssError, type FssCode } from './errors.ts'
import {
  booleanField,
  enumField,
  integerField,
  invalidValue,
  mapField,
  objectField,
  required,
  stringField,
} from './fields.ts'
import { DIALECT, type JsonObject } from './operation.ts'
import { shapedField, type ObjectShape } from './shapes.ts'
import { readUserData } from './user-data.ts'

/** Sources of every number: the vendor's API reference and limits page. */
const TIMEOUT_S = { min: 3, max: 259_200 }
const INITIALIZER_S = { min: 1, max: 300 }
const PRE_STOP_S = { min: 1, max: 90 }
const MEMORY_MIB: readonly number[] = [
  ...[128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 8192, 10_240],
]
const STORAGE_MIB: readonly number[] = [512, 10_240]
const GPU_MEMORY_MIB = { min: 1024, max: 16_384 }
const MAX_DESCRIPTION_CHARS = 512
const MAX_LOG_TAGS = 10
export const MAX_INSTANCES = 1000

/** Runtimes whose handler is a name in a file. */
const NAMED_IN_FILE = /^(?:node|python|php)/i

/** What of a function decides how it runs, but for its code, its dependencies and its contract. */
export type RunSettings = Omit<FunctionSpec, 'code' | 'contract' | 'layers'>

/** A function's settings after a request. */
export interface Settings {
  readonly run: RunSettings
  readonly description: string
  readonly facts: Readonly<Record<string, string>>
  /** What is stored and shown again, in the member names of the API. */
  readonly shown: Extras
  /** Most instances: −1 for no cap, 0 for none at all. Absent: as it was. */
  readonly maxInstances?: number
}

const TEXTS = [
  'xrole',
  'app_xrole',
  'extend_config',
  'pre_stop_handler',
  'restore_hook_handler',
  'heartbeat_handler',
  'enterprise_project_id',
  'peering_cidr',
  'domain_names',
  'user_data_encrypt_kms_key_id',
  'code_encrypt_kms_key_id',
  'gpu_type',
] as const

const BOOLEANS = [
  'enable_dynamic_memory',
  'is_stateful_function',
  'enable_lts_log',
  'enable_auth_in_header',
  'enable_class_isolation',
] as const

const OBJECTS: Readonly<Record<string, ObjectShape>> = {
  func_vpc: {
    domain_id: 'text',
    namespace: 'text',
    vpc_name: 'text',
    vpc_id: 'text',
    subnet_name: 'text',
    subnet_id: 'text',
    cidr: 'text',
    gateway: 'text',
    security_groups: 'texts',
    is_safety: 'boolean',
  },
  mount_config: {
    mount_user: { user_id: 'integer', user_group_id: 'integer' },
    func_mounts: [
      { mount_type: 'text', mount_resource: 'text', mount_share_path: 'text', local_mount_path: 'text' },
    ],
  },
  network_controller: {
    disable_public_network: 'boolean',
    trigger_access_vpcs: [{ vpc_name: 'text', vpc_id: 'text' }],
  },
  custom_image: {
    enabled: 'boolean',
    image: 'text',
    command: 'text',
    args: 'text',
    working_dir: 'text',
    uid: 'text',
    gid: 'text',
    is_public: 'boolean',
  },
  log_config: { group_name: 'text', group_id: 'text', stream_name: 'text', stream_id: 'text' },
}

/**
 * Reads the settings of a function from a request to make or to change it. Members that are absent or null stay as they
 * were; values that another API gave the function may stay, too, where this one would not take them.
 *
 * @param before Absent: the function is being made.
 * @throws {FssError} with the vendor's code for the member
 */
export function readSettings(
  body: JsonObject,
  before: FunctionRecord | undefined,
  projectId: string,
): Settings {
  const { environment, texts } = readUserData(body, before)
  const shown = { ...extrasOf(before?.extras ?? {}, DIALECT), ...readShown(body), ...texts }
  const strategy = objectField(body, 'strategy_config', 'FSS.1026') ?? {}
  const maxInstances = integerField(strategy, 'concurrency', {
    min: -1,
    max: MAX_INSTANCES,
    code: 'FSS.1026',
  })
  const runtime = required(
    stringField(body, 'runtime', { min: 1, max: 64, code: 'FSS.1005' }) ?? before?.spec.runtime,
    'runtime',
    'FSS.1005',
  )
  const initializer = readInitializer(body, before?.spec.initializer)
  const network = readNetwork(body, before?.spec.network)
  return {
    run: {
      runtime,
      handler: readHandler(body, runtime, before?.spec.handler),
      ...(initializer === undefined ? {} : { initializer }),
      timeoutMs: readTimeoutMs(body, before?.spec.timeoutMs),
      memoryMib: readChoice(body, 'memory_size', MEMORY_MIB, before?.spec.memoryMib, 'FSS.1007'),
      diskMib: readChoice(body, 'ephemeral_storage', STORAGE_MIB, before?.spec.diskMib ?? 512, 'FSS.0400'),
      instanceConcurrency: readInstanceConcurrency(strategy, before?.spec.instanceConcurrency ?? 1),
      environment,
      ...(network === undefined ? {} : { network }),
    },
    description:
      stringField(body, 'description', { max: MAX_DESCRIPTION_CHARS, code: 'FSS.1019' }) ??
      before?.description ??
      '',
    facts: {
      ...roleFacts(shown, before?.facts ?? {}),
      projectId: before?.facts['projectId'] ?? projectId,
    },
    shown,
    ...(maxInstances !== undefined && { maxInstances }),
  }
}

/** The facts of before, with the agency the code runs under. */
function roleFacts(
  shown: Extras,
  before: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const { role: roleBefore, ...others } = before
  const given = [shown['app_xrole'], shown['xrole']].filter((each) => typeof each === 'string')
  const role = given.find((each) => each !== '') ?? (given.length > 0 ? undefined : roleBefore)
  return { ...others, ...(role !== undefined && { role }) }
}

function readHandler(body: JsonObject, runtime: string, before: string | undefined): string {
  const handler = stringField(body, 'handler', { min: 1, max: 128, code: 'FSS.1003' })
  if (handler === undefined) return required(before, 'handler', 'FSS.1003')
  if (NAMED_IN_FILE.test(runtime) && !/^[^.].*\../.test(handler))
    throw invalidValue('handler', 'file.name', handler, 'FSS.1003')
  return handler
}

function readInitializer(
  body: JsonObject,
  before: RunSettings['initializer'],
): RunSettings['initializer'] | undefined {
  const handler =
    stringField(body, 'initializer_handler', { max: 128, code: 'FSS.1404' }) ?? before?.handler ?? ''
  // Clients that leave both out write them as they write absent values: an empty text and 0.
  const timeoutS = integerField(body, 'initializer_timeout', { ...INITIALIZER_S, min: 0, code: 'FSS.1405' })
  if (handler === '') return undefined
  if (handler !== before?.handler && !/^[^.].*\../.test(handler))
    throw invalidValue('initializer_handler', 'file.name', handler, 'FSS.1404')
  const timeoutMs = timeoutS === undefined ? before?.timeoutMs : timeoutS * 1000
  if (timeoutMs === undefined || timeoutMs === 0)
    throw new FssError(
      'FSS.1405',
      `initializer_timeout must be ${INITIALIZER_S.min} - ${INITIALIZER_S.max} where there is an initializer_handler`,
    )
  return { handler, timeoutMs }
}

/** `network_controller.disable_public_network`; a controller without it forbids nothing. */
function readNetwork(body: JsonObject, before: RunSettings['network']): RunSettings['network'] {
  const controller = objectField(body, 'network_controller')
  if (controller === undefined) return before
  return booleanField(controller, 'disable_public_network') === true ? 'none' : undefined
}

function readTimeoutMs(body: JsonObject, beforeMs: number | undefined): number {
  const code = 'FSS.1008'
  const seconds = integerField(body, 'timeout', { min: 1, max: TIMEOUT_S.max, code })
  if (seconds === undefined) return required(beforeMs, 'timeout', code)
  if (beforeMs !== undefined && seconds === Math.ceil(beforeMs / 1000)) return beforeMs
  if (seconds < TIMEOUT_S.min)
    throw invalidValue('timeout', `${TIMEOUT_S.min} - ${TIMEOUT_S.max}`, seconds, code)
  return seconds * 1000
}

/** One of a few whole numbers; the one it is may stay. */
function readChoice(
  body: JsonObject,
  name: string,
  choices: readonly number[],
  before: number | undefined,
  code: FssCode,
): number {
  const value = integerField(body, name, { min: 0, max: Number.MAX_SAFE_INTEGER, code })
  if (value === undefined) return required(before, name, code)
  if (value !== before && !choices.includes(value)) throw invalidValue(name, choices.join(' | '), value, code)
  return value
}

/** More than one call at a time in an instance is for functions that are HTTP servers, which this server has not. */
function readInstanceConcurrency(strategy: JsonObject, before: number): number {
  const code = 'FSS.1026'
  const number = integerField(strategy, 'concurrent_num', { min: 0, max: 1000, code }) || before
  if (number !== before && number !== 1)
    throw new FssError(
      code,
      'invalid parameter concurrent_num: functions of this runtime take one call at a time',
    )
  return number
}

function readShown(body: JsonObject): Extras {
  const shown: Record<string, unknown> = {
    type: enumField(body, 'type', ['v1', 'v2']),
    pre_stop_timeout: integerField(body, 'pre_stop_timeout', { ...PRE_STOP_S, min: 0 }),
    restore_hook_timeout: integerField(body, 'restore_hook_timeout', { ...INITIALIZER_S, min: 0 }),
    gpu_memory: readGpuMemory(body),
    initializer_timeout: integerField(body, 'initializer_timeout', {
      ...INITIALIZER_S,
      min: 0,
      code: 'FSS.1405',
    }),
    lts_custom_tag: readLogTags(body),
  }
  for (const name of TEXTS) shown[name] = stringField(body, name)
  for (const name of BOOLEANS) shown[name] = booleanField(body, name)
  for (const [name, shape] of Object.entries(OBJECTS)) shown[name] = shapedField(body, name, shape)
  return Object.fromEntries(Object.entries(shown).filter(([, value]) => value !== undefined))
}

function readGpuMemory(body: JsonObject): number | undefined {
  const memory = integerField(body, 'gpu_memory', { ...GPU_MEMORY_MIB, min: 0 })
  if (memory !== undefined && memory % GPU_MEMORY_MIB.min !== 0)
    throw invalidValue('gpu_memory', 'a multiple of 1024', memory)
  return memory
}

function readLogTags(body: JsonObject): Readonly<Record<string, string>> | undefined {
  const tags = mapField(body, 'lts_custom_tag')
  if (tags !== undefined && Object.keys(tags).length > MAX_LOG_TAGS)
    throw new FssError('FSS.0400', `lts_custom_tag has more than ${MAX_LOG_TAGS} entries`)
  return tags
}
