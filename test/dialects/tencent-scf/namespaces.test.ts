import { afterEach, beforeEach, expect, test } from 'vitest'
import { QUOTA } from '../../../src/definitions/quotas.ts'
import { functionKey, namespaceKey } from '../../../src/engine/keys.ts'
import { functionParams, openHarness, type Harness } from './harness.ts'
import { ACCOUNT } from './signing.ts'

let server: Harness

beforeEach(async () => {
  server = await openHarness()
})
afterEach(() => server.close())

test('default is listed before anything is made in it, and cannot be made or deleted', async () => {
  const { response } = await server.call('ListNamespaces')
  expect(response).toMatchObject({ TotalCount: 1, Namespaces: [{ Name: 'default', Type: 'default' }] })
  expect((await server.call('CreateNamespace', { Namespace: 'default' })).code).toBe(
    'InvalidParameterValue.DefaultNamespace',
  )
  expect((await server.call('DeleteNamespace', { Namespace: 'default' })).code).toBe(
    'FailedOperation.DeleteNamespace',
  )
  await server.call('UpdateNamespace', { Namespace: 'default', Description: 'mine' })
  const updated = await server.call('ListNamespaces')
  expect(updated.response).toMatchObject({ TotalCount: 1, Namespaces: [{ Description: 'mine' }] })
})

test('there may be so many namespaces, and so many functions in each', async () => {
  await server.call('CreateFunction', await functionParams('f0'))
  await server.catalogue.change((draft) => {
    const [first] = draft.list('function', '')
    const [namespace] = draft.list('namespace', '')
    if (first === undefined || namespace === undefined) throw new TypeError('nothing was made')
    for (let index = 1; index < QUOTA.functionsPerNamespace; index += 1)
      draft.put('function', functionKey(ACCOUNT, 'default', `f${index}`), {
        ...first.value,
        name: `f${index}`,
      })
    for (let index = 1; index < QUOTA.namespacesPerAccount; index += 1)
      draft.put('namespace', namespaceKey(ACCOUNT, `n${index}`), { ...namespace.value, name: `n${index}` })
  })
  expect((await server.call('CreateFunction', await functionParams('more'))).code).toBe(
    'LimitExceeded.Function',
  )
  expect((await server.call('CreateNamespace', { Namespace: 'more' })).code).toBe('LimitExceeded.Namespace')
})

test('a namespace is made, described, searched for and deleted when it is empty', async () => {
  const made = await server.call('CreateNamespace', { Namespace: 'n-1_x', Description: 'One', Type: 'TCB' })
  expect(made.message).toBe(undefined)
  expect((await server.call('CreateNamespace', { Namespace: 'n-1_x' })).code).toBe('ResourceInUse.Namespace')
  await server.call('UpdateNamespace', { Namespace: 'n-1_x', Description: 'Two' })
  const SearchKey = [
    { Key: 'Namespace', Value: '1' },
    { Key: 'Description', Value: 'two' },
  ]
  const { response } = await server.call('ListNamespaces', {
    SearchKey,
    Orderby: 'Updatetime',
    Order: 'DESC',
  })
  expect(response).toMatchObject({
    TotalCount: 1,
    Namespaces: [{ Name: 'n-1_x', Description: 'Two', AddTime: '2026-11-21 18:00:00' }],
  })
  await server.call('CreateFunction', await functionParams('hello', { Namespace: 'n-1_x' }))
  const held = await server.call('DeleteNamespace', { Namespace: 'n-1_x' })
  expect(held.code).toBe('FailedOperation.DeleteNamespace')
  await server.call('DeleteFunction', { FunctionName: 'hello', Namespace: 'n-1_x' })
  await server.call('DeleteNamespace', { Namespace: 'n-1_x' })
  expect((await server.call('DeleteNamespace', { Namespace: 'n-1_x' })).code).toBe(
    'ResourceNotFound.Namespace',
  )
})

test.each([
  ['CreateNamespace', { Namespace: 'a b' }, 'InvalidParameterValue.NamespaceInvalid'],
  ['CreateNamespace', { Namespace: 'x'.repeat(61) }, 'InvalidParameterValue.NamespaceInvalid'],
  ['CreateNamespace', {}, 'MissingParameter'],
  ['CreateNamespace', { Namespace: 'n', Description: 1 }, 'InvalidParameterValue.Description'],
  ['UpdateNamespace', { Namespace: 'n' }, 'MissingParameter'],
  ['UpdateNamespace', { Namespace: 'n', Description: 'd' }, 'ResourceNotFound.Namespace'],
  ['ListNamespaces', { SearchKey: [{ Key: 'Colour', Value: 'red' }] }, 'InvalidParameterValue.SearchKey'],
])('%s of %j is refused with %s', async (action, params, code) => {
  expect((await server.call(action, params)).code).toBe(code)
})
