import { describe, expect, test } from 'vitest'
import { functionNamed, uinOf } from '../../src/dialects/function-names.ts'

const ACCOUNT = '1234567890123456'
const UIN = uinOf(ACCOUNT)

const function_ = (more: object = {}) => ({
  kind: 'function',
  target: { account: ACCOUNT, namespace: 's', name: 'forge', ...more },
})

describe('the name in full of a function', () => {
  test.each([
    `acs:fc:cn-hangzhou:${ACCOUNT}:services/s/functions/forge`,
    `acs:fc:cn-hangzhou:${ACCOUNT}:services/s.LATEST/functions/forge`,
    'urn:fss:cn-north-4:any-project:function:s:forge',
    'urn:fss:cn-north-4:any-project:function:s:forge:latest',
    `qcs::scf:ap-guangzhou:uin/${UIN}:namespace/s/function/forge`,
    `qcs::scf:ap-guangzhou:uin/${ACCOUNT}:namespace/s/function/forge/$LATEST`,
    'qcs::scf:::namespace/s/function/forge/$LATEST',
  ])('leads to its latest state: %s', (text) => {
    expect(functionNamed(text, ACCOUNT)).toEqual(function_())
  })

  test.each([
    [`acs:fc:cn-hangzhou:${ACCOUNT}:services/s.live/functions/forge`, 'live'],
    [`acs:fc:cn-hangzhou:${ACCOUNT}:services/s.latest/functions/forge`, 'latest'],
    ['urn:fss:cn-north-4:p:function:s:forge:v1.2', 'v1.2'],
    ['urn:fss:cn-north-4:p:function:s:forge:!prod', 'prod'],
    ['urn:fss:cn-north-4:p:function:s:forge:!latest', 'latest'],
    [`qcs::scf:ap-guangzhou:uin/${UIN}:namespace/s/function/forge/3`, '3'],
    [`qcs::scf:ap-guangzhou:uin/${UIN}:namespace/s/function/forge/$DEFAULT`, '$DEFAULT'],
  ])('leads to it through its qualifier: %s', (text, qualifier) => {
    expect(functionNamed(text, ACCOUNT)).toEqual(function_({ qualifier }))
  })

  test.each([
    'acs:fc:cn-hangzhou:999:services/s/functions/forge',
    `acs:fc:cn-hangzhou:${ACCOUNT}:functions/forge`,
    'qcs::scf:ap-guangzhou:uin/999:namespace/s/function/forge',
  ])('of another account, or without a service, is elsewhere: %s', (text) => {
    expect(functionNamed(text, ACCOUNT)).toEqual({ kind: 'elsewhere' })
  })

  test.each([
    'forge',
    's/forge',
    `acs:fc:cn-hangzhou:${ACCOUNT}:services/s`,
    'urn:fss:cn-north-4:p:function:s',
    'urn:fss:cn-north-4:p:trigger:s:forge',
    'urn:fss:cn-north-4:p:function:s:forge:v1:more',
    'urn:smn:cn-north-4:p:topic',
    `qcs::scf:ap-guangzhou:uin/${UIN}:lam/lam-abcdefgh`,
    `qcs::cos:ap-guangzhou:uin/${UIN}:namespace/s/function/forge`,
    ' urn:fss:cn-north-4:p:function:s:forge',
    `urn:fss:cn-north-4:p:function:s:${'a'.repeat(1024)}`,
  ])('is not %s', (text) => {
    expect(functionNamed(text, ACCOUNT)).toBeUndefined()
  })
})
