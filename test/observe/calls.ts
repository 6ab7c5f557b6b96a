import type { EndedCall } from '../../src/model/call-record.ts'
import type { FunctionVersion } from '../../src/model/function.ts'

const SPEC = {
  contract: 'alibaba-fc',
  runtime: 'nodejs20',
  handler: 'index.handler',
  timeoutMs: 1000,
  memoryMib: 128,
  diskMib: 512,
  instanceConcurrency: 1,
  environment: {},
  code: { digest: '00', crc64: '0', sizeBytes: 0, expandedBytes: 0 },
  facts: {},
}

export function functionVersion(name: string, namespace = 'shop', version = 'LATEST'): FunctionVersion {
  const id = `${name} ${version}`
  return { ...SPEC, account: '1234', namespace, name, id, functionId: name, version }
}

/** A call that returned. */
export function aCall(requestId: string, log: string, changes: Partial<EndedCall> = {}): EndedCall {
  return {
    requestId,
    ending: 'returned',
    reason: undefined,
    durationMs: 1.25,
    billedDurationMs: 2,
    maxMemoryBytes: 1024,
    retryCount: 0,
    log,
    result: undefined,
    ...changes,
  }
}
