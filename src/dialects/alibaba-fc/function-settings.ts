import type { FunctionSpec } from '../../model/function.ts'
import { FcError } from './errors.ts'
import {
  booleanField,
  enumField,
  integerField,
  invalidValue,
  listField,
  mapField,
  numberField,
  objectField,
  objectListField,
  required,
  stringField,
  stringListField,
} from './fields.ts'
import type { ApiVersion, JsonObject } from './operation.ts'

/** Sources of every number: the vendor's API reference and limits page. */
const MAX_ENVIRONMENT_BYTES = 4096
const MAX_LAYERS = 5
const MAX_HOOK_TIMEOUT_S = 90
const MAX_ARGUMENTS = 100

/** What of a function decides how it runs, but for its code and its contract. */
export type RunSettings = Omit<FunctionSpec, 'code' | 'contract'>

/** What is stored and shown again and has no effect here, in the member names of the API. */
export type ShownSettings = Readonly<Record<string, unknown>>

/** Values of members that a create request leaves out. */
export const DEFAULT_RUN: Omit<RunSettings, 'runtime' | 'handler'> = Object.freeze({
  timeoutMs: 3000,
  memoryMib: 128,
  diskMib: 512,
  instanceConcurrency: 1,
  environment: {},
})

/** The elastic kind, of a function that says nothing. */
const DEFAULT_INSTANCE_TYPE = 'e1'

/** Timeout of an initializer whose own was never given, milliseconds. */
const DEFAULT_INITIALIZER_TIMEOUT_MS = 3000

/** Members that only exist in the younger API. */
const SINCE_2021 = [
  'cpu',
  'diskSize',
  'instanceLifecycleConfig',
  'instanceSoftConcurrency',
  'gpuMemorySize',
  'customRuntimeConfig',
  'customHealthCheckConfig',
  'customDNS',
  'layersArnV2',
] as const

/** How a function is to run after a request: what it names, else what was before. @throws {FcError} InvalidArgument */
export function readRun(body: JsonObject, before: Partial<RunSettings>): RunSettings {
  const timeoutS = integerField(body, 'timeout', { min: 1, max: 86_400 })
  const memoryMib = integerField(body, 'memorySize', { min: 128, max: 32_768 })
  if (memoryMib !== undefined && memoryMib % 64 !== 0)
    throw invalidValue('memorySize', '128 - 32768 and a multiple of 64', memoryMib)
  const diskMib = integerField(body, 'diskSize', { min: 512, max: 10_240 })
  if (diskMib !== undefined && diskMib !== 512 && diskMib !== 10_240)
    throw invalidValue('diskSize', '512 | 10240', diskMib)
  const runtime = stringField(body, 'runtime', { min: 1, max: 64 }) ?? before.runtime
  if (runtime === 'custom-container')
    throw new FcError('InvalidArgument', "runtime 'custom-container' is not supported by this server")
  const initializer = readInitializer(body, before.initializer)
  return {
    runtime: required(runtime, 'runtime'),
    handler: required(stringField(body, 'handler', { min: 1, max: 256 }) ?? before.handler, 'handler'),
    ...(initializer === undefined ? {} : { initializer }),
    timeoutMs: timeoutS === undefined ? (before.timeoutMs ?? DEFAULT_RUN.timeoutMs) : timeoutS * 1000,
    memoryMib: memoryMib ?? before.memoryMib ?? DEFAULT_RUN.memoryMib,
    diskMib: diskMib ?? before.diskMib ?? DEFAULT_RUN.diskMib,
    instanceConcurrency:
      integerField(body, 'instanceConcurrency', { min: 1, max: 200 }) ??
      before.instanceConcurrency ??
      DEFAULT_RUN.instanceConcurrency,
    environment: readEnvironment(body) ?? before.environment ?? DEFAULT_RUN.environment,
  }
}

/** The members that are only shown again, after a request. @throws {FcError} InvalidArgument */
export function readShown(body: JsonObject, run: RunSettings, before: ShownSettings): ShownSettings {
  if ((listField(body, 'layers', MAX_LAYERS) ?? []).length > 0)
    throw new FcError(
      'InvalidArgument',
      'layers are not supported by this server yet: pack them into the code',
    )
  const given = {
    initializationTimeout: integerField(body, 'initializationTimeout', { min: 1, max: 300 }),
    instanceType: readInstanceType(body),
    caPort: integerField(body, 'caPort', { min: 1, max: 65_535 }),
    cpu: readCpu(body),
    gpuMemorySize: integerField(body, 'gpuMemorySize', { min: 0, max: 1_048_576 }),
    instanceSoftConcurrency: integerField(body, 'instanceSoftConcurrency', { min: 1, max: 200 }),
    instanceLifecycleConfig: readLifecycle(body),
    customRuntimeConfig: readCustomRuntime(body),
    customContainerConfig: readCustomContainer(body),
    customHealthCheckConfig: readHealthCheck(body),
    customDNS: readDns(body),
  }
  const shown: Record<string, unknown> = { instanceType: DEFAULT_INSTANCE_TYPE, ...before }
  for (const [name, value] of Object.entries(given)) if (value !== undefined) shown[name] = value
  const { cpu, instanceSoftConcurrency } = shown
  if (typeof cpu === 'number') requireRatio(cpu, run.memoryMib)
  if (typeof instanceSoftConcurrency === 'number' && instanceSoftConcurrency > run.instanceConcurrency)
    throw invalidValue('instanceSoftConcurrency', `1 - ${run.instanceConcurrency}`, instanceSoftConcurrency)
  return shown
}

/** All settings of a function as an API version shows them. */
export function settingsBody(
  api: ApiVersion,
  spec: FunctionSpec,
  shown: ShownSettings,
): Readonly<Record<string, unknown>> {
  const initializationTimeoutMs = spec.initializer?.timeoutMs ?? DEFAULT_INITIALIZER_TIMEOUT_MS
  const body: Record<string, unknown> = {
    runtime: spec.runtime,
    handler: spec.handler,
    timeout: spec.timeoutMs / 1000,
    memorySize: spec.memoryMib,
    diskSize: spec.diskMib,
    environmentVariables: spec.environment,
    initializer: spec.initializer?.handler ?? '',
    initializationTimeout: initializationTimeoutMs / 1000,
    instanceConcurrency: spec.instanceConcurrency,
    layers: [],
    layersArnV2: [],
    instanceType: DEFAULT_INSTANCE_TYPE,
    ...shown,
  }
  if (api === '2016-08-15') for (const name of SINCE_2021) delete body[name]
  return body
}

function readInitializer(
  body: JsonObject,
  before: RunSettings['initializer'],
): RunSettings['initializer'] | undefined {
  const handler = stringField(body, 'initializer', { max: 256 }) ?? before?.handler ?? ''
  const timeoutS = integerField(body, 'initializationTimeout', { min: 1, max: 300 })
  if (handler === '') return undefined
  const timeoutMs =
    timeoutS === undefined ? (before?.timeoutMs ?? DEFAULT_INITIALIZER_TIMEOUT_MS) : timeoutS * 1000
  return { handler, timeoutMs }
}

function readEnvironment(body: JsonObject): RunSettings['environment'] | undefined {
  const environment = mapField(body, 'environmentVariables')
  if (environment === undefined) return undefined
  let bytes = 0
  for (const [name, value] of Object.entries(environment)) {
    if (!/^[A-Za-z][A-Za-z0-9_]*$/.test(name))
      throw invalidValue(
        'environmentVariables',
        'names of letters, digits and _ that begin with a letter',
        name,
      )
    if (name.startsWith('FC_'))
      throw invalidValue('environmentVariables', 'names that do not begin with the reserved FC_', name)
    if (value.includes('\0')) throw invalidValue(`environmentVariables.${name}`, 'text without NUL', value)
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value)
  }
  if (bytes > MAX_ENVIRONMENT_BYTES)
    throw new FcError(
      'InvalidArgument',
      `EnvironmentVariables are too long (max: ${MAX_ENVIRONMENT_BYTES} bytes, actual: ${bytes} bytes)`,
    )
  return environment
}

function readInstanceType(body: JsonObject): string | undefined {
  const type = stringField(body, 'instanceType', { max: 64 })
  if (type === undefined || type === '') return undefined
  if (/^(?:e1|c1|g1|fc\.gpu\.[a-z0-9.]+)$/.test(type)) return type
  throw invalidValue('instanceType', 'e1 | c1 | g1 | fc.gpu.*', type)
}

function readCpu(body: JsonObject): number | undefined {
  const cpu = numberField(body, 'cpu', { min: 0.05, max: 16 })
  // Twentieths: the step is 0.05, which binary fractions only come near to.
  if (cpu !== undefined && Math.abs(cpu * 20 - Math.round(cpu * 20)) > 1e-6)
    throw invalidValue('cpu', '0.05 - 16 and a multiple of 0.05', cpu)
  return cpu
}

function requireRatio(cpu: number, memoryMib: number): void {
  const gibPerCpu = memoryMib / 1024 / cpu
  if (gibPerCpu < 1 || gibPerCpu > 4)
    throw new FcError(
      'InvalidArgument',
      `the ratio of MemorySize (GB) to Cpu must be between 1 and 4 (actual: ${gibPerCpu.toFixed(2)})`,
    )
}

function readLifecycle(body: JsonObject): JsonObject | undefined {
  const config = objectField(body, 'instanceLifecycleConfig')
  if (config === undefined) return undefined
  const preFreeze = readHook(config, 'preFreeze')
  const preStop = readHook(config, 'preStop')
  return { ...(preFreeze === undefined ? {} : { preFreeze }), ...(preStop === undefined ? {} : { preStop }) }
}

function readHook(config: JsonObject, name: string): JsonObject | undefined {
  const hook = objectField(config, name)
  if (hook === undefined) return undefined
  return {
    handler: stringField(hook, 'handler', { max: 256 }) ?? '',
    timeout: integerField(hook, 'timeout', { min: 0, max: MAX_HOOK_TIMEOUT_S }) ?? 3,
  }
}

function readCustomRuntime(body: JsonObject): JsonObject | undefined {
  const config = objectField(body, 'customRuntimeConfig')
  if (config === undefined) return undefined
  return {
    command: stringListField(config, 'command', MAX_ARGUMENTS) ?? [],
    args: stringListField(config, 'args', MAX_ARGUMENTS) ?? [],
  }
}

/** In these APIs `command` and `args` are texts that hold a JSON list. */
function readCustomContainer(body: JsonObject): JsonObject | undefined {
  const config = objectField(body, 'customContainerConfig')
  if (config === undefined) return undefined
  const webServerMode = booleanField(config, 'webServerMode')
  return {
    image: stringField(config, 'image') ?? '',
    command: stringField(config, 'command') ?? '',
    args: stringField(config, 'args') ?? '',
    accelerationType: enumField(config, 'accelerationType', ['Default', 'None', '']) ?? 'Default',
    instanceID: stringField(config, 'instanceID') ?? '',
    ...(webServerMode === undefined ? {} : { webServerMode }),
  }
}

function readHealthCheck(body: JsonObject): JsonObject | undefined {
  const check = objectField(body, 'customHealthCheckConfig')
  if (check === undefined) return undefined
  return {
    httpGetUrl: stringField(check, 'httpGetUrl') ?? '',
    initialDelaySeconds: integerField(check, 'initialDelaySeconds', { min: 0, max: 120 }) ?? 0,
    periodSeconds: integerField(check, 'periodSeconds', { min: 1, max: 120 }) ?? 3,
    timeoutSeconds: integerField(check, 'timeoutSeconds', { min: 1, max: 3 }) ?? 1,
    failureThreshold: integerField(check, 'failureThreshold', { min: 1, max: 120 }) ?? 3,
    successThreshold: integerField(check, 'successThreshold', { min: 1, max: 120 }) ?? 1,
  }
}

function readDns(body: JsonObject): JsonObject | undefined {
  const dns = objectField(body, 'customDNS')
  if (dns === undefined) return undefined
  return {
    nameServers: stringListField(dns, 'nameServers', 10) ?? [],
    searches: stringListField(dns, 'searches', 10) ?? [],
    dnsOptions: (objectListField(dns, 'dnsOptions', 10) ?? []).map((option) => ({
      name: required(stringField(option, 'name', { max: 64 }), 'name'),
      value: stringField(option, 'value', { max: 64 }) ?? '',
    })),
  }
}
