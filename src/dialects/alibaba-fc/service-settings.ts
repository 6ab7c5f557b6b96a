import type { FunctionSpec } from '../../model/function.ts'
import type { NamespaceRecord } from '../../store/definition-store.ts'
import { FcError } from './errors.ts'
import {
  booleanField,
  enumField,
  field,
  integerField,
  invalidValue,
  mapField,
  objectField,
  objectListField,
  required,
  stringField,
  stringListField,
} from './fields.ts'
import type { JsonObject } from './operation.ts'
import { ownExtras } from './own-extras.ts'

/** Most mounts of one kind. Source: the vendor's limits page. */
const MAX_MOUNTS = 5
/** Most vSwitches listed; the vendor publishes no number. */
const MAX_VSWITCHES = 20
const MAX_PARAMS = 20

/** What a service says about the surroundings of its functions, in the member names of the API. */
export interface ServiceSettings {
  readonly role: string
  readonly logConfig: {
    readonly project: string
    readonly logstore: string
    readonly enableRequestMetrics: boolean
    readonly enableInstanceMetrics: boolean
    readonly logBeginRule: string
  }
  readonly vpcConfig: {
    readonly vpcId: string
    readonly vSwitchIds: readonly string[]
    readonly securityGroupId: string
    readonly role: string
  }
  readonly nasConfig: {
    readonly userId: number
    readonly groupId: number
    readonly mountPoints: readonly {
      readonly serverAddr: string
      readonly mountDir: string
      readonly enableTLS: boolean
    }[]
  }
  readonly ossMountConfig: {
    readonly mountPoints: readonly {
      readonly bucketName: string
      readonly bucketPath: string
      readonly endpoint: string
      readonly mountDir: string
      readonly readOnly: boolean
    }[]
  }
  readonly tracingConfig: { readonly type: string; readonly params: Readonly<Record<string, string>> }
  readonly internetAccess: boolean
}

/** A service that says nothing. `logConfig` and `role` are shown even when unset: clients reach into them. */
export const DEFAULT_SETTINGS: ServiceSettings = Object.freeze({
  role: '',
  logConfig: {
    project: '',
    logstore: '',
    enableRequestMetrics: false,
    enableInstanceMetrics: false,
    logBeginRule: 'None',
  },
  vpcConfig: { vpcId: '', vSwitchIds: [], securityGroupId: '', role: '' },
  nasConfig: { userId: -1, groupId: -1, mountPoints: [] },
  ossMountConfig: { mountPoints: [] },
  tracingConfig: { type: '', params: {} },
  internetAccess: true,
})

/** The settings a request names; those it leaves out are absent. @throws {FcError} InvalidArgument */
export function readSettings(body: JsonObject): Partial<ServiceSettings> {
  const role = roleField(body, 'role')
  const logConfig = objectField(body, 'logConfig')
  const vpcConfig = objectField(body, 'vpcConfig')
  const nasConfig = objectField(body, 'nasConfig')
  const ossMountConfig = objectField(body, 'ossMountConfig')
  const tracingConfig = objectField(body, 'tracingConfig')
  const internetAccess = booleanField(body, 'internetAccess')
  return {
    ...(role === undefined ? {} : { role }),
    ...(logConfig === undefined ? {} : { logConfig: readLogConfig(logConfig) }),
    ...(vpcConfig === undefined ? {} : { vpcConfig: readVpcConfig(vpcConfig) }),
    ...(nasConfig === undefined ? {} : { nasConfig: readNasConfig(nasConfig) }),
    ...(ossMountConfig === undefined ? {} : { ossMountConfig: readOssMountConfig(ossMountConfig) }),
    ...(tracingConfig === undefined ? {} : { tracingConfig: readTracingConfig(tracingConfig) }),
    ...(internetAccess === undefined ? {} : { internetAccess }),
  }
}

/** The settings of a service that is there. */
export function settingsOf(service: NamespaceRecord): ServiceSettings {
  return { ...DEFAULT_SETTINGS, ...ownExtras(service) }
}

/** What the service says about the network of its functions. */
export function networkOf({ internetAccess }: ServiceSettings): FunctionSpec['network'] {
  return internetAccess ? undefined : 'none'
}

/** What the code of the service's functions gets to see: `role`, `logProject`, `logStore`; unset ones are absent. */
export function factsOf({ role, logConfig }: ServiceSettings): Readonly<Record<string, string>> {
  return {
    ...(role === '' ? {} : { role }),
    ...(logConfig.project === '' ? {} : { logProject: logConfig.project }),
    ...(logConfig.logstore === '' ? {} : { logStore: logConfig.logstore }),
  }
}

function readLogConfig(body: JsonObject): ServiceSettings['logConfig'] {
  const defaults = DEFAULT_SETTINGS.logConfig
  return {
    project: stringField(body, 'project', { max: 128 }) ?? defaults.project,
    logstore: stringField(body, 'logstore', { max: 128 }) ?? defaults.logstore,
    enableRequestMetrics: booleanField(body, 'enableRequestMetrics') ?? defaults.enableRequestMetrics,
    enableInstanceMetrics: booleanField(body, 'enableInstanceMetrics') ?? defaults.enableInstanceMetrics,
    logBeginRule:
      field(body, 'logBeginRule') === ''
        ? defaults.logBeginRule
        : (enumField(body, 'logBeginRule', ['DefaultRegex', 'None']) ?? defaults.logBeginRule),
  }
}

function readVpcConfig(body: JsonObject): ServiceSettings['vpcConfig'] {
  return {
    vpcId: stringField(body, 'vpcId', { max: 128 }) ?? '',
    vSwitchIds: stringListField(body, 'vSwitchIds', MAX_VSWITCHES) ?? [],
    securityGroupId: stringField(body, 'securityGroupId', { max: 128 }) ?? '',
    role: roleField(body, 'role') ?? '',
  }
}

function readNasConfig(body: JsonObject): ServiceSettings['nasConfig'] {
  const ids = { min: -1, max: 0xffff_ffff }
  return {
    userId: integerField(body, 'userId', ids) ?? DEFAULT_SETTINGS.nasConfig.userId,
    groupId: integerField(body, 'groupId', ids) ?? DEFAULT_SETTINGS.nasConfig.groupId,
    mountPoints: (objectListField(body, 'mountPoints', MAX_MOUNTS) ?? []).map((mount) => ({
      serverAddr: required(stringField(mount, 'serverAddr', { min: 1 }), 'serverAddr'),
      mountDir: required(stringField(mount, 'mountDir', { min: 1 }), 'mountDir'),
      enableTLS: booleanField(mount, 'enableTLS') ?? false,
    })),
  }
}

function readOssMountConfig(body: JsonObject): ServiceSettings['ossMountConfig'] {
  return {
    mountPoints: (objectListField(body, 'mountPoints', MAX_MOUNTS) ?? []).map((mount) => ({
      bucketName: required(stringField(mount, 'bucketName', { min: 1 }), 'bucketName'),
      bucketPath: stringField(mount, 'bucketPath') ?? '',
      endpoint: stringField(mount, 'endpoint') ?? '',
      mountDir: required(stringField(mount, 'mountDir', { min: 1 }), 'mountDir'),
      readOnly: booleanField(mount, 'readOnly') ?? false,
    })),
  }
}

function readTracingConfig(body: JsonObject): ServiceSettings['tracingConfig'] {
  const params = mapField(body, 'params') ?? {}
  if (Object.keys(params).length > MAX_PARAMS)
    throw new FcError('InvalidArgument', `TracingConfig.Params contains too many values (max: ${MAX_PARAMS})`)
  return { type: enumField(body, 'type', ['Jaeger', '']) ?? '', params }
}

/** An empty role takes it away. */
function roleField(body: JsonObject, name: string): string | undefined {
  const role = stringField(body, name, { max: 256 })
  if (role === undefined || role === '' || /^acs:ram::[^:]*:role\/./.test(role)) return role
  throw invalidValue(name, 'acs:ram::{account}:role/{name}', role)
}
