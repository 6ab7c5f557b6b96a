import { beforeEach, expect, test } from 'vitest'
import { addFunction, changeFunction, type FunctionChange } from '../../src/definitions/functions.ts'
import { QUOTA } from '../../src/definitions/quotas.ts'
import type { Catalogue } from '../../src/engine/catalogue.ts'
import { functionKey } from '../../src/engine/keys.ts'
import type { FunctionSpec } from '../../src/model/function.ts'
import type { FunctionRecord, Stored } from '../../src/store/definition-store.ts'
import { aVersion } from '../helpers/versions.ts'
import { ACCOUNT, openCatalogue, putFunction, putNamespace } from './shelf.ts'

const spec: FunctionSpec = {
  contract: 'plain',
  runtime: 'nodejs20',
  handler: 'index.handler',
  timeoutMs: 1000,
  memoryMib: 128,
  diskMib: 512,
  instanceConcurrency: 1,
  environment: {},
  code: aVersion().code,
}
const made = {
  account: ACCOUNT,
  namespace: 'demo',
  name: 'hello',
  description: 'x',
  spec,
  facts: { role: 'r' },
  extras: { dialect: { a: 1 } },
}

let catalogue: Catalogue
beforeEach(async () => {
  catalogue = await openCatalogue()
  await catalogue.change((draft) => putNamespace(draft))
})

const add = (name = 'hello'): Promise<Stored<'function'>> =>
  catalogue.change((draft) => addFunction(draft, { ...made, name }, 5))

test('a function is made with ids of its own', async () => {
  const { value } = await add()
  const { functionId, stateId, ...others } = value
  expect(others).toEqual({ ...made, version: 'LATEST', createdAtMs: 5, modifiedAtMs: 5 })
  const second = (await add('second')).value
  expect(new Set([functionId, stateId, second.functionId, second.stateId]).size).toBe(4)
})

test('functions of a namespace are bounded', async () => {
  await catalogue.change((draft) => {
    for (let index = 1; index < QUOTA.functionsPerNamespace; index += 1) putFunction(draft, `f${index}`)
  })
  await add()
  await expect(add('second')).rejects.toMatchObject({
    name: 'QuotaExceeded',
    limit: QUOTA.functionsPerNamespace,
  })
})

test.each<[string, FunctionChange, boolean]>([
  ['nothing', {}, true],
  ['a description', { description: 'y' }, true],
  ["a dialect's own", { extras: { dialect: { a: 2 } } }, true],
  ['what was there before', { spec: { ...spec }, facts: { role: 'r' } }, true],
  ['a setting that runs', { spec: { ...spec, timeoutMs: 2000 } }, false],
  ['a fact', { facts: {} }, false],
])('a change of %s replaces instances only where they would differ', async (_, change, keeps) => {
  const before = await add()
  await catalogue.change((draft) => changeFunction(draft, before, change, 9))
  const after = catalogue.get('function', functionKey(ACCOUNT, 'demo', 'hello'))?.value
  const { stateId, ...others }: Partial<FunctionRecord> = after ?? {}
  const { stateId: stateBefore, ...othersBefore } = before.value
  expect(others).toEqual({ ...othersBefore, ...change, modifiedAtMs: 9 })
  expect(stateId === stateBefore).toBe(keeps)
})
