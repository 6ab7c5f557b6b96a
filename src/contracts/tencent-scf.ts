import type { FunctionVersion } from '../model/function.ts'
import type { Ending, Measured } from '../model/outcome.ts'
import type { HandlerContract, InstanceFacts, LoggedCall } from './contract.ts'
import {
  accountIds,
  CODE_TARGET,
  environmentOf,
  keyVariables,
  LAYERS_TARGET,
  versionName,
} from './tencent-scf-environment.ts'
import { CONTRACT_NAME } from './tencent-scf-failure.ts'
import { closingOf, openingOf } from './tencent-scf-log.ts'

export { answerOf, failureOf } from './tencent-scf-failure.ts'

/**
 * SCF's handler contract: event functions of the Node.js and Python runtimes, `main_handler(event, context)`.
 *
 * Reads of a version's facts: `appId`, `uin` (both default to the account), `role`. It has no initializer: one that another API gave
 * the function is not run.
 */
export const tencentScf: HandlerContract = Object.freeze({
  name: CONTRACT_NAME,
  codeTarget: CODE_TARGET,
  layersTarget: LAYERS_TARGET,
  keepsResults: true,

  environment: environmentOf,

  setup(version: FunctionVersion, instance: InstanceFacts): Record<string, unknown> {
    const { appId, uin } = accountIds(version)
    const variables = {
      SCF_NAMESPACE: version.namespace,
      ...version.environment,
      ...keyVariables(instance),
    }
    return {
      generation: generationOf(version.runtime),
      members: {
        memory_limit_in_mb: version.memoryMib,
        time_limit_in_ms: version.timeoutMs,
        environment: JSON.stringify(variables),
        environ: Object.entries(variables)
          .map(([name, value]) => `${name}=${value}`)
          .join(';'),
        function_version: versionName(version),
        function_name: version.name,
        namespace: version.namespace,
        tencentcloud_region: instance.region,
        tencentcloud_appid: appId,
        tencentcloud_uin: uin,
      },
    }
  },

  perCall(): undefined {
    return undefined
  },

  logOpening(call: LoggedCall): string {
    return openingOf(call)
  },

  logClosing(call: LoggedCall, ending: Ending, measured: Omit<Measured, 'logTail'>): string {
    return closingOf(call, ending, measured)
  },

  initLogOpening(): string {
    return ''
  },

  initLogClosing(): string {
    return ''
  },
})

/** The numbers of a runtime's name: `[12, 16]` for Nodejs12.16; a name without any counts as the newest. */
function generationOf(runtime: string): readonly number[] {
  const numbers = /[\d.]+$/.exec(runtime)?.[0].split('.').filter(Boolean).map(Number) ?? []
  return numbers.length === 0 ? [Number.MAX_SAFE_INTEGER] : numbers
}
