import { type FunctionVersion, LATEST } from '../model/function.ts'
import type { InstanceFacts } from './contract.ts'

/** Where the code of a function lies. Source: the vendor's environment page, `USER_CODE_ROOT`. */
export const CODE_TARGET = '/var/user'
/** Where its layers lie. Source: the same page, `PYTHONPATH` and `NODE_PATH`. */
export const LAYERS_TARGET = '/opt'

/** The vendor's word for the one mutable state of a function. */
const LATEST_NAME = '$LATEST'

/**
 * The variables of the vendor's runtimes.
 *
 * What a program finds its programs, its language and its time by can be set by the user; directories that the user names for
 * modules and libraries come after those of code and layers; the rest is the platform's. `TZ` is ours: the vendor's machines run
 * on UTC. Key variables exist only where the function has a role.
 */
export function environmentOf(version: FunctionVersion, instance: InstanceFacts): Record<string, string> {
  return { ...generalVariables(version, instance), ...platformVariables(version, instance) }
}

/** A version as the vendor names it: `$LATEST` or its number. */
export function versionName({ version }: FunctionVersion): string {
  return version === LATEST ? LATEST_NAME : version
}

/** The two ids of an account; the account's own name where the function's maker told none. */
export function accountIds({ account, facts }: FunctionVersion): { appId: string; uin: string } {
  return { appId: facts['appId'] ?? account, uin: facts['uin'] ?? account }
}

/** Keys of the function's role, under the names of their variables; none without a role. */
export function keyVariables({ credentials }: InstanceFacts): Record<string, string> {
  if (credentials === undefined) return {}
  return {
    TENCENTCLOUD_SECRETID: credentials.accessKeyId,
    TENCENTCLOUD_SECRETKEY: credentials.accessKeySecret,
    TENCENTCLOUD_SESSIONTOKEN: credentials.securityToken,
  }
}

function platformVariables(version: FunctionVersion, instance: InstanceFacts): Record<string, string> {
  const { appId, uin } = accountIds(version)
  return {
    TENCENTCLOUD_RUNENV: 'SCF',
    TENCENTCLOUD_REGION: instance.region,
    TENCENTCLOUD_APPID: appId,
    TENCENTCLOUD_UIN: uin,
    ...keyVariables(instance),
    SCF_FUNCTIONNAME: version.name,
    SCF_FUNCTIONVERSION: versionName(version),
    SCF_NAMESPACE: version.namespace,
    _SCF_SERVER_PORT: '28902',
    USER_CODE_ROOT: `${instance.codeDir}/`,
  }
}

function generalVariables(
  { environment }: FunctionVersion,
  { codeDir, layersDir = LAYERS_TARGET, instanceId }: InstanceFacts,
): Record<string, string> {
  const searched = {
    PYTHONPATH: [codeDir, layersDir],
    NODE_PATH: [codeDir, `${codeDir}/node_modules`, layersDir, `${layersDir}/node_modules`],
    CLASSPATH: [codeDir, layersDir],
    LD_LIBRARY_PATH: ['/usr/local/lib', '/usr/lib', '/lib', codeDir, layersDir],
  }
  const defaults = {
    PATH: '/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin',
    PYTHONDONTWRITEBYTECODE: 'x',
    PWD: codeDir,
    HOME: '/home/qcloud',
    USER: 'qcloud',
    LOGNAME: 'qcloud',
    LANG: 'en_US.UTF8',
    LC_ALL: 'en_US.UTF8',
    SHELL: '/bin/bash',
    HOSTNAME: instanceId,
    TZ: 'UTC',
  }
  const users = (name: string): string[] => [environment[name] ?? ''].filter((value) => value !== '')
  return Object.fromEntries([
    ...Object.entries(searched).map(([name, places]) => [name, [...places, ...users(name)].join(':')]),
    ...Object.entries(defaults).map(([name, value]) => [name, environment[name] ?? value]),
  ])
}
