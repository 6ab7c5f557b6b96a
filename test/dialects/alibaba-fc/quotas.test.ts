import { afterEach, beforeEach, expect, test } from 'vitest'
import { QUOTA } from '../../../src/definitions/quotas.ts'
import { functionsThatEnded } from '../../../src/engine/ended-functions.ts'
import { aliasKey, functionKey, namespaceKey, qualifiedKey, versionKey } from '../../../src/engine/keys.ts'
import type { RecordKind } from '../../../src/store/definition-store.ts'
import { ACCOUNT, functionBody, openHarness, type Harness, type TestReply } from './harness.ts'

const V2 = '/2021-04-06'
const DEMO = `${V2}/services/demo`

let fc: Harness
beforeEach(async () => {
  fc = await openHarness()
  await post(`${V2}/services`, { serviceName: 'demo' })
  await post(`${DEMO}/functions`, await functionBody('hello'))
  await post(`${DEMO}/versions`, {})
  await post(`${DEMO}/aliases`, { aliasName: 'prod', versionId: '1' })
})
afterEach(() => fc.close())

const post = (path: string, body: unknown) => fc.send({ method: 'POST', path, body })
const put = (path: string, body: unknown) => fc.send({ method: 'PUT', path, body })
const answer = ({ status, json }: TestReply) => [status, json['ErrorCode']]

/** Puts `count` copies of a record under other keys. */
async function fill(
  kind: RecordKind,
  from: string,
  count: number,
  keyOf: (index: number) => string,
): Promise<void> {
  const value = fc.catalogue.get(kind, from)?.value
  if (value === undefined) throw new Error(`no record ${from}`)
  await fc.catalogue.change((draft) => {
    for (let index = 0; index < count; index += 1) draft.put(kind, keyOf(index), value)
  })
}

test('services of an account are bounded', async () => {
  const another = (): Promise<TestReply> => post(`${V2}/services`, { serviceName: 'another' })
  const key = namespaceKey(ACCOUNT, 'demo')
  await fill('namespace', key, QUOTA.namespacesPerAccount - 1, (index) => namespaceKey(ACCOUNT, `s${index}`))
  expect(answer(await another())).toEqual([400, 'LimitExceeded'])
  await fc.catalogue.change((draft) => draft.delete('namespace', namespaceKey(ACCOUNT, 's0')))
  expect(answer(await another())).toEqual([200, undefined])
})

test('functions of a service are bounded', async () => {
  const another = async (): Promise<TestReply> => post(`${DEMO}/functions`, await functionBody('another'))
  const keyOf = (index: number): string => functionKey(ACCOUNT, 'demo', `f${index}`)
  await fill('function', functionKey(ACCOUNT, 'demo', 'hello'), QUOTA.functionsPerNamespace - 1, keyOf)
  expect(answer(await another())).toEqual([400, 'LimitExceeded'])
  await fc.catalogue.change((draft) => draft.delete('function', keyOf(0)))
  expect(answer(await another())).toEqual([200, undefined])
})

test('versions of a service are bounded', async () => {
  await put(DEMO, { description: 'changed' })
  const keyOf = (index: number): string => versionKey(ACCOUNT, 'demo', `9${index}`)
  await fill('version', versionKey(ACCOUNT, 'demo', '1'), QUOTA.versions - 1, keyOf)
  expect(answer(await post(`${DEMO}/versions`, {}))).toEqual([400, 'LimitExceeded'])
  await fc.catalogue.change((draft) => draft.delete('version', keyOf(0)))
  expect(answer(await post(`${DEMO}/versions`, {}))).toEqual([200, undefined])
})

test('aliases of a service are bounded', async () => {
  const another = (): Promise<TestReply> => post(`${DEMO}/aliases`, { aliasName: 'next', versionId: '1' })
  const keyOf = (index: number): string => aliasKey(ACCOUNT, 'demo', `a${index}`)
  await fill('alias', aliasKey(ACCOUNT, 'demo', 'prod'), QUOTA.aliases - 1, keyOf)
  expect(answer(await another())).toEqual([400, 'LimitExceeded'])
  await fc.catalogue.change((draft) => draft.delete('alias', keyOf(0)))
  expect(answer(await another())).toEqual([200, undefined])
})

test('on-demand configs, which need no function, are bounded; those there are can be changed', async () => {
  const cap = (name: string): Promise<TestReply> =>
    put(`${DEMO}/functions/${name}/on-demand-config`, { maximumInstanceCount: 1 })
  await cap('hello')
  const keyOf = (index: number): string => qualifiedKey(ACCOUNT, 'demo', `f${index}`, 'LATEST')
  const from = qualifiedKey(ACCOUNT, 'demo', 'hello', 'LATEST')
  await fill('scaling', from, QUOTA.settingsPerAccount - 1, keyOf)
  expect(answer(await cap('another'))).toEqual([400, 'LimitExceeded'])
  expect(answer(await cap('hello'))).toEqual([200, undefined])
})

test('a function has ended with its last record, a published version among them', async () => {
  const ended: string[] = []
  fc.catalogue.onChanged = (changes) => {
    ended.push(
      ...functionsThatEnded(changes, fc.catalogue).map(({ namespace, name }) => `${namespace}/${name}`),
    )
  }
  await fc.send({ method: 'DELETE', path: `${DEMO}/functions/hello` })
  expect(ended).toEqual([])
  await fc.send({ method: 'DELETE', path: `${DEMO}/versions/1` })
  expect(ended).toEqual(['demo/hello'])
})
