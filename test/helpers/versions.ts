import { randomUUID } from 'node:crypto'
import type { FunctionVersion } from '../../src/model/function.ts'

/** A function version for tests that care for a few of its members only. */
export function aVersion(given: Partial<FunctionVersion> = {}): FunctionVersion {
  return {
    id: randomUUID(),
    functionId: 'function-1',
    account: '1234567890123456',
    namespace: 'demo',
    name: 'hello',
    version: 'LATEST',
    facts: {},
    contract: 'alibaba-fc',
    runtime: 'nodejs20',
    handler: 'index.handler',
    timeoutMs: 3000,
    memoryMib: 256,
    diskMib: 64,
    instanceConcurrency: 1,
    environment: {},
    code: { digest: '0'.repeat(64), crc64: '0', sizeBytes: 0, expandedBytes: 0 },
    ...given,
  }
}
