import { type FunctionVersion, LATEST } from '../model/function.ts'
import type { InvokeRequest } from '../model/invocation.ts'
import type { Ending, Measured } from '../model/outcome.ts'
import type { HandlerContract, InstanceFacts, LoggedCall } from './contract.ts'
import {
  CODE_TARGET,
  cpuOf,
  environmentOf,
  LAYERS_TARGET,
  MAX_BODY_BYTES,
  secondsOf,
  versionName,
} from './huawei-functiongraph-environment.ts'
import { CONTRACT_NAME } from './huawei-functiongraph-failure.ts'
import { closingOf, initClosingOf, initOpeningOf, openingOf } from './huawei-functiongraph-log.ts'

export { cpuOf } from './huawei-functiongraph-environment.ts'
export { errorCodeOf, errorCodeOfName, failureOf, RUN_CODE } from './huawei-functiongraph-failure.ts'

/**
 * FunctionGraph's handler contract: event functions of the Node.js and Python runtimes, `handler(event, context)`.
 *
 * Reads of a version's facts: `projectId`, `role` (both optional). The namespace is the package, the function's own environment its
 * user data.
 */
export const huaweiFunctionGraph: HandlerContract = Object.freeze({
  name: CONTRACT_NAME,
  codeTarget: CODE_TARGET,
  layersTarget: LAYERS_TARGET,
  keepsResults: false,

  environment: environmentOf,

  setup(version: FunctionVersion, instance: InstanceFacts): Record<string, unknown> {
    return {
      generation: generationOf(version.runtime),
      maxResultBytes: MAX_BODY_BYTES,
      projectId: version.facts['projectId'] ?? '',
      package: version.namespace,
      functionName: version.name,
      version: versionName(version),
      timeoutMs: version.timeoutMs,
      timeoutSeconds: secondsOf(version.timeoutMs),
      memoryMb: version.memoryMib,
      cpu: cpuOf(version.memoryMib),
      userData: version.environment,
      credentials: {
        accessKey: instance.credentials?.accessKeyId ?? '',
        secretKey: instance.credentials?.accessKeySecret ?? '',
        securityToken: instance.credentials?.securityToken ?? '',
      },
    }
  },

  /** What the caller named; the other half knows its version, so it can tell an alias by it. */
  perCall({ target: { qualifier } }: InvokeRequest): Record<string, unknown> | undefined {
    return qualifier === undefined || qualifier === LATEST ? undefined : { qualifier }
  },

  logOpening(call: LoggedCall): string {
    return openingOf(call)
  },

  logClosing(call: LoggedCall, ending: Ending, measured: Omit<Measured, 'logTail'>): string {
    return closingOf(call, ending, measured)
  },

  initLogOpening(call: LoggedCall): string {
    return initOpeningOf(call)
  },

  initLogClosing(call: LoggedCall): string {
    return initClosingOf(call)
  },
})

/** The first number of a runtime's name: 6 for Node.js6.10; a name without any counts as the newest. */
function generationOf(runtime: string): number {
  const [digits] = /\d+/.exec(runtime) ?? []
  return digits === undefined ? Number.MAX_SAFE_INTEGER : Number(digits)
}
