import { type FunctionVersion, LATEST } from '../model/function.ts'
import type { InstanceFacts } from './contract.ts'
import { modulePath } from './module-path.ts'

/** Where the code of a function lies. Source: the vendor's developer guide, `RUNTIME_CODE_ROOT`. */
export const CODE_TARGET = '/opt/function/code'
/** Where its dependencies lie: a place of ours, the vendor names none. */
export const LAYERS_TARGET = '/opt/function/dependencies'

/** The largest event and the largest result. Source: the vendor's limits page, "6 MB", and its runtimes, 6 MiB. */
export const MAX_BODY_BYTES = 6 * 1024 * 1024

/** The vendor's word for the one mutable state of a function. */
const LATEST_NAME = 'latest'

/**
 * The variables of the vendor's runtimes. The user data is there twice, as variables of their own and as JSON in
 * `RUNTIME_USERDATA`; directories that the user names for modules come after those of the dependencies.
 *
 * PATH, HOME, LANG and TZ are the user's to set; time is UTC otherwise, as with the vendor.
 */
export function environmentOf(version: FunctionVersion, instance: InstanceFacts): Record<string, string> {
  const { environment, initializer } = version
  return {
    ...defaultsFor(environment),
    ...moduleVariables(version, instance),
    RUNTIME_PROJECT_ID: version.facts['projectId'] ?? '',
    RUNTIME_FUNC_NAME: version.name,
    RUNTIME_FUNC_VERSION: versionName(version),
    RUNTIME_PACKAGE: version.namespace,
    RUNTIME_HANDLER: version.handler,
    RUNTIME_TIMEOUT: String(secondsOf(version.timeoutMs)),
    RUNTIME_USERDATA: JSON.stringify(environment),
    RUNTIME_CPU: String(cpuOf(version.memoryMib)),
    RUNTIME_MEMORY: String(version.memoryMib),
    RUNTIME_CODE_ROOT: instance.codeDir,
    RUNTIME_MAX_REQUEST_BODY_SIZE: String(MAX_BODY_BYTES),
    RUNTIME_MAX_RESP_BODY_SIZE: String(MAX_BODY_BYTES),
    ...(initializer === undefined
      ? {}
      : {
          RUNTIME_INITIALIZER_HANDLER: initializer.handler,
          RUNTIME_INITIALIZER_TIMEOUT: String(secondsOf(initializer.timeoutMs)),
        }),
  }
}

/** A version as the vendor names it: `latest` or its own name. */
export function versionName({ version }: FunctionVersion): string {
  return version === LATEST ? LATEST_NAME : version
}

/** Thousandths of a core: 300 for 128 MB, 100 more for each further 128 MB. Source: the comments of the vendor's runtimes. */
export function cpuOf(memoryMib: number): number {
  return Math.round((memoryMib / 128) * 100 + 200)
}

/** Whole seconds, at least one: what the vendor's configuration knows. */
export function secondsOf(durationMs: number): number {
  return Math.max(1, Math.round(durationMs / 1000))
}

function defaultsFor(environment: Readonly<Record<string, string>>): Record<string, string> {
  const defaults = {
    PATH: '/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin',
    HOME: '/tmp',
    LANG: 'C.UTF-8',
    TZ: 'UTC',
  }
  return Object.fromEntries(
    Object.entries(defaults).map(([name, value]) => [name, environment[name] ?? value]),
  )
}

/** A dependency holds a `node_modules` or packages at its top; both are found, in either language. */
function moduleVariables(
  { environment }: FunctionVersion,
  { layersDir }: InstanceFacts,
): Record<string, string> {
  if (layersDir === undefined) return {}
  return {
    NODE_PATH: modulePath([`${layersDir}/node_modules`, layersDir], environment['NODE_PATH']),
    PYTHONPATH: modulePath([layersDir], environment['PYTHONPATH']),
  }
}
