import type { FunctionVersion } from '../model/function.ts'
import type { InstanceFacts } from './contract.ts'

/** Where a runtime stands in its family, from its name. */
export interface Generation {
  /** The name's numbers: `[20]` for nodejs20, `[3, 10]` for python3.10, `[3, 6]` for python3. */
  readonly numbers: readonly number[]
  /** Of the family that the vendor bases on Debian 11 or later: nodejs18, python3.10 and their successors. */
  readonly isRecent: boolean
}

/** @param runtime As the user wrote it; a name without numbers counts as the newest generation. */
export function generationOf(runtime: string): Generation {
  const [, family = '', digits = ''] = /^([a-z-]*)([\d.]*)/.exec(runtime) ?? []
  const numbers = digits.split('.').filter(Boolean).map(Number)
  const [major = Number.MAX_SAFE_INTEGER] = numbers
  if (family !== 'python') return { numbers, isRecent: major >= 18 }
  const minor = numbers[1] ?? 6
  return { numbers: [major, minor], isRecent: major > 3 || (major === 3 && minor >= 10) }
}

/**
 * The variables of the vendor's runtimes, and what a process needs to find programs and its home.
 *
 * The user's own PATH, HOME, LANG and TZ stay as they are; time is UTC where none is set, as with the vendor.
 * Key variables exist only where the function has a role; the older runtimes have them under older names, too.
 */
export function environmentOf(version: FunctionVersion, instance: InstanceFacts): Record<string, string> {
  const { isRecent } = generationOf(version.runtime)
  const isPython = version.runtime.startsWith('python')
  return {
    ...defaultsFor(version.environment),
    FC_FUNC_CODE_PATH: instance.codeDir,
    FC_FUNCTION_NAME: version.name,
    FC_FUNCTION_HANDLER: version.handler,
    FC_FUNCTION_MEMORY_SIZE: String(version.memoryMib),
    FC_REGION: instance.region,
    FC_ACCOUNT_ID: version.account,
    FC_INSTANCE_ID: instance.instanceId,
    FC_RUNTIME_VERSION: version.runtime,
    FC_QUALIFIER: version.version,
    FC_SERVICE_NAME: version.namespace,
    // The Python agent's list of allowed names has only the older one, whatever the image.
    ...(isRecent ? { FC_FUNCTION_VERSION: version.version } : {}),
    ...(!isRecent || isPython ? { FC_VER_ID: version.version } : {}),
    ...(version.instanceConcurrency > 1
      ? { FC_ENABLE_CONCURRENT_INVOKE: 'true', FC_CONCURRENT_LIMIT: String(version.instanceConcurrency) }
      : {}),
    ...keyVariables(instance.credentials, isRecent),
  }
}

function defaultsFor(userEnvironment: Readonly<Record<string, string>>): Record<string, string> {
  const defaults = {
    PATH: '/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin:/opt/bin',
    HOME: '/tmp',
    LANG: 'C.UTF-8',
    TZ: 'UTC',
  }
  return { ...defaults, ...pick(userEnvironment, Object.keys(defaults)) }
}

function pick(variables: Readonly<Record<string, string>>, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(variables).filter(([name]) => names.includes(name)))
}

function keyVariables(credentials: InstanceFacts['credentials'], isRecent: boolean): Record<string, string> {
  if (credentials === undefined) return {}
  const { accessKeyId, accessKeySecret, securityToken } = credentials
  return {
    ALIBABA_CLOUD_ACCESS_KEY_ID: accessKeyId,
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: accessKeySecret,
    ALIBABA_CLOUD_SECURITY_TOKEN: securityToken,
    ...(isRecent ? {} : { accessKeyID: accessKeyId, accessKeySecret, securityToken }),
  }
}
