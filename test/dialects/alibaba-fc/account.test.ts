import { expect, test } from 'vitest'
import { getAccountConfigs, getAccountSettings } from '../../../src/dialects/alibaba-fc/account.ts'
import { ControlPlane } from './control-plane.ts'

test('answers one zone of the configured region and the default role of the account', async () => {
  const plane = await ControlPlane.open()
  expect((await plane.call(getAccountSettings, { account: '42' })).body).toEqual({
    availableAZs: ['cn-hangzhou-a'],
    defaultRole: 'acs:ram::42:role/aliyunfcdefaultrole',
  })
})

test('answers the largest code package in bytes', async () => {
  const plane = await ControlPlane.open()
  const { body } = await plane.call(getAccountConfigs, {
    api: '2016-08-15',
    query: { config: 'CodeSizeLimit' },
  })
  expect(body).toEqual({ CodeSizeLimit: 104_857_600 })
})

test('refuses an unknown setting and none', async () => {
  const plane = await ControlPlane.open()
  expect(await plane.refusal(getAccountConfigs)).toMatchObject({
    code: 'InvalidArgument',
    message: 'Config is required but not provided',
  })
  expect(await plane.refusal(getAccountConfigs, { query: { config: 'Luck' } })).toMatchObject({
    code: 'InvalidArgument',
    message: "Config is set to an invalid value (allowed: CodeSizeLimit, actual: 'Luck')",
  })
})
