import { ensureNamespace } from '../../../src/definitions/namespaces.ts'
import type { Catalogue } from '../../../src/engine/catalogue.ts'
import { functionKey } from '../../../src/engine/keys.ts'
import type { FunctionSpec } from '../../../src/model/function.ts'
import { ACCOUNT } from './harness.ts'

const stamps = { createdAtMs: 1, modifiedAtMs: 1 }
const layer = { digest: '1'.repeat(64), crc64: '5', sizeBytes: 3, expandedBytes: 4 }

/** A function as another dialect makes it: nothing in it is this dialect's. */
export const SPEC: FunctionSpec = {
  contract: 'tencent-scf',
  runtime: 'Nodejs16.13',
  handler: 'index.main_handler',
  timeoutMs: 7000,
  memoryMib: 256,
  diskMib: 1024,
  instanceConcurrency: 1,
  environment: { _key: 'value' },
  code: { digest: '0'.repeat(64), crc64: '77', sizeBytes: 9, expandedBytes: 9 },
  layers: [layer],
}
export const EXTRAS = { 'tencent-scf': { Type: 'Event', instanceType: 'theirs', role: 'theirs' } }
export const FACTS = { appId: '1250000000', uin: '100000000001', role: 'their-role' }

/** Puts the function `theirs` into a namespace, which is made where it is missing. */
export function putTheirs(catalogue: Catalogue, namespace: string): Promise<unknown> {
  return catalogue.change((draft) => {
    ensureNamespace(draft, ACCOUNT, namespace, 1)
    return draft.put('function', functionKey(ACCOUNT, namespace, 'theirs'), {
      ...stamps,
      account: ACCOUNT,
      namespace,
      name: 'theirs',
      version: 'LATEST',
      functionId: 'their-id',
      stateId: 'their-state',
      description: 'made by others',
      spec: SPEC,
      facts: FACTS,
      extras: EXTRAS,
    })
  })
}
