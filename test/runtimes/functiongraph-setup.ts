import type { SetupOverrides } from '../helpers/bootstrap-driver.ts'

/** What `src/contracts/huawei-functiongraph.ts` puts into the set-up, for tests that drive a bootstrap by themselves. */
export function functionGraphSetup(context: Record<string, unknown> = {}) {
  return {
    contract: 'huawei-functiongraph',
    handler: 'index.handler',
    context: {
      generation: 20,
      maxResultBytes: 6 * 1024 * 1024,
      projectId: 'p',
      package: 'default',
      functionName: 'f',
      version: 'v1',
      timeoutMs: 3000,
      timeoutSeconds: 3,
      memoryMb: 128,
      cpu: 300,
      userData: { mine: 'value' },
      credentials: { accessKey: '', secretKey: '', securityToken: '' },
      ...context,
    },
  } satisfies Partial<SetupOverrides>
}
