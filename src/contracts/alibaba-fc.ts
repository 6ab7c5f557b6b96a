import type { FunctionVersion } from '../model/function.ts'
import type { InvokeRequest } from '../model/invocation.ts'
import type { Ending, Measured } from '../model/outcome.ts'
import { LATEST } from '../model/function.ts'
import { environmentOf, generationOf } from './alibaba-fc-environment.ts'
import { endSuffix, summaryLine } from './alibaba-fc-log.ts'
import type { HandlerContract, InstanceFacts, LoggedCall } from './contract.ts'

export { failureSentence } from './alibaba-fc-log.ts'

/**
 * Function Compute's handler contract, 2.0 and 3.0: event handlers of the Node.js and Python runtimes.
 *
 * Reads of a version's facts: `logProject`, `logStore`, `role` (all optional). The namespace is the 2.0 service.
 */
export const alibabaFc: HandlerContract = Object.freeze({
  name: 'alibaba-fc',
  codeTarget: '/code',
  layersTarget: '/opt',
  keepsResults: false,

  environment: environmentOf,

  setup(version: FunctionVersion, instance: InstanceFacts): Record<string, unknown> {
    const { facts, initializer } = version
    const generation = generationOf(version.runtime)
    return {
      generation: generation.numbers,
      region: instance.region,
      accountId: version.account,
      credentials: {
        accessKeyId: instance.credentials?.accessKeyId ?? '',
        accessKeySecret: instance.credentials?.accessKeySecret ?? '',
        securityToken: instance.credentials?.securityToken ?? '',
      },
      function: {
        name: version.name,
        handler: version.handler,
        memory: version.memoryMib,
        timeout: seconds(version.timeoutMs),
        ...(initializer === undefined ? {} : { initializer: initializer.handler }),
        ...(initializer === undefined || generation.isRecent
          ? {}
          : { initializationTimeout: seconds(initializer.timeoutMs) }),
      },
      service: {
        name: version.namespace,
        logProject: facts['logProject'] ?? '',
        logStore: facts['logStore'] ?? '',
        qualifier: version.version,
        versionId: version.version,
      },
    }
  },

  perCall(request: InvokeRequest): Record<string, unknown> | undefined {
    const { qualifier } = request.target
    const isNamed = qualifier !== undefined && qualifier !== LATEST
    if (!isNamed && request.retryCount === 0) return undefined
    return {
      ...(isNamed ? { qualifier } : {}),
      ...(request.retryCount > 0 ? { retryCount: request.retryCount } : {}),
    }
  },

  logOpening({ requestId }: LoggedCall): string {
    return `FC Invoke Start RequestId: ${requestId}\n`
  },

  logClosing(call: LoggedCall, ending: Ending, measured: Omit<Measured, 'logTail'>): string {
    return (
      `FC Invoke End RequestId: ${call.requestId}${endSuffix(ending, measured)}\n\n` +
      `${summaryLine(call.version, measured)}\n`
    )
  },

  initLogOpening({ requestId }: LoggedCall): string {
    return `FC Initialize Start RequestId: ${requestId}\n`
  },

  initLogClosing({ requestId }: LoggedCall, failure: string | undefined): string {
    return `FC Initialize End RequestId: ${requestId}${failure === undefined ? '' : ', Error: Unhandled function error'}\n`
  },
})

/** Whole seconds, at least one: what the vendor's configuration knows. */
function seconds(durationMs: number): number {
  return Math.max(1, Math.round(durationMs / 1000))
}
