import { beforeEach, describe, expect, test } from 'vitest'
import { createAlias } from '../../../src/dialects/alibaba-fc/aliases.ts'
import {
  getProvisionConfig,
  listProvisionConfigs,
  putProvisionConfig,
} from '../../../src/dialects/alibaba-fc/provision.ts'
import { deleteServiceVersion, publishServiceVersion } from '../../../src/dialects/alibaba-fc/versions.ts'
import { ACCOUNT, column, ControlPlane } from './control-plane.ts'

let plane: ControlPlane
const target = { params: { service: 'demo', function: 'one' }, qualifier: 'prod' }

const action = {
  name: 'a1',
  startTime: '2020-10-10T10:10:10Z',
  endTime: '2030-10-10T10:10:10Z',
  target: 5,
  scheduleExpression: 'cron(0 */30 * * * *)',
}
const policy = {
  name: 'p1',
  startTime: '2020-10-10T10:10:10Z',
  endTime: '2030-10-10T10:10:10Z',
  metricType: 'ProvisionedConcurrencyUtilization',
  metricTarget: 0.6,
  minCapacity: 5,
  maxCapacity: 200,
}

beforeEach(async () => {
  plane = await ControlPlane.open()
  await plane.putService('demo')
  await plane.putFunction('demo', 'one')
  await plane.putFunction('demo', 'two')
  await plane.call(publishServiceVersion, { params: { service: 'demo' } })
  await plane.call(createAlias, { params: { service: 'demo' }, body: { aliasName: 'prod', versionId: '1' } })
})

const put = async (body: Record<string, unknown>): Promise<Record<string, unknown>> =>
  (await plane.call(putProvisionConfig, { ...target, body })).body

describe('putProvisionConfig', () => {
  test('answers the target and how many instances are ready', async () => {
    const expected = {
      resource: `${ACCOUNT}#demo#prod#one`,
      target: 10,
      current: 3,
      currentError: 'the code cannot be loaded: SyntaxError',
      alwaysAllocateCPU: true,
      scheduledActions: [],
      targetTrackingPolicies: [],
    }
    plane.kept = { ready: 3, failure: 'the code cannot be loaded: SyntaxError' }
    const { status, body, headers } = await plane.call(putProvisionConfig, {
      ...target,
      body: { target: 10, AlwaysAllocateCPU: true },
    })
    expect({ status, body }).toEqual({ status: 200, body: expected })
    const got = await plane.call(getProvisionConfig, { ...target, api: '2016-08-15' })
    expect(got.body).toEqual(expected)
    expect(got.headers?.['ETag']).toBe(headers?.['ETag'])
  })

  test('takes LATEST, a version and the ends of the range', async () => {
    const { params } = target
    expect((await plane.call(putProvisionConfig, { params, body: { target: 10_000 } })).body).toMatchObject({
      resource: `${ACCOUNT}#demo#LATEST#one`,
      target: 10_000,
    })
    expect(
      (await plane.call(putProvisionConfig, { params, qualifier: '1', body: { target: 0 } })).body,
    ).toMatchObject({
      resource: `${ACCOUNT}#demo#1#one`,
      target: 0,
    })
  })

  test('keeps schedules and policies by null and clears them by an empty list', async () => {
    const at = { ...action, name: 'a2', scheduleExpression: 'at(2020-10-20T10:10:10Z)' }
    expect(
      await put({ target: 3, scheduledActions: [action, at], targetTrackingPolicies: [policy] }),
    ).toMatchObject({
      target: 3,
      scheduledActions: [action, at],
      targetTrackingPolicies: [policy],
    })
    expect(await put({ scheduledActions: null })).toMatchObject({
      target: 3,
      scheduledActions: [action, at],
      targetTrackingPolicies: [policy],
    })
    const cleared = await put({ target: 0, scheduledActions: [], targetTrackingPolicies: [] })
    expect(cleared).toMatchObject({ target: 0, scheduledActions: [], targetTrackingPolicies: [] })
  })

  test('takes times of the zone that an entry names', async () => {
    const zoned = { ...action, startTime: '2020-10-10T10:10:10', timeZone: 'Asia/Shanghai' }
    expect(await put({ scheduledActions: [zoned] })).toMatchObject({ scheduledActions: [zoned] })
    expect(
      await plane.refusal(putProvisionConfig, {
        ...target,
        body: { scheduledActions: [{ ...zoned, timeZone: 'Moon/Base' }] },
      }),
    ).toMatchObject({ code: 'InvalidArgument' })
  })

  test.each<[string, Record<string, unknown>]>([
    [
      "Duplicate action name 'a1' in ScheduledActions is not allowed",
      { scheduledActions: [action, { ...action, scheduleExpression: 'at(2020-10-20T10:10:10Z)' }] },
    ],
    [
      "The StartTime is not in UTC time format (example: '2020-10-10T10:10:10Z', actual: '2020-10-10T10:10:10')",
      { scheduledActions: [{ ...action, startTime: '2020-10-10T10:10:10' }] },
    ],
    [
      "The EndTime is not in UTC time format (example: '2020-10-10T10:10:10Z', actual: '')",
      { targetTrackingPolicies: [{ ...policy, endTime: undefined }] },
    ],
    [
      'The ScheduleExpression should be atTime or cron expression ' +
        "(example: ['at(2020-10-10T10:10:10Z)', 'cron(0 */30 * * * *)'], actual: 'cron(0s */30 * * * *)')",
      { scheduledActions: [{ ...action, scheduleExpression: 'cron(0s */30 * * * *)' }] },
    ],
    [
      'ScheduledActions contains too many values (max: 100, actual: 110)',
      {
        scheduledActions: Array.from({ length: 110 }, (_, index) => ({ ...action, name: `action_${index}` })),
      },
    ],
    [
      "Duplicate policy name 'p1' in TargetTrackingPolicies is not allowed",
      { targetTrackingPolicies: [policy, policy] },
    ],
    ["Target is set to an invalid value (allowed: 0 - 10000, actual: '10001')", { target: 10_001 }],
    [
      "EndTime is set to an invalid value (allowed: a time after 2030-10-10T10:10:10Z, actual: '2020-10-10T10:10:10Z')",
      { scheduledActions: [{ ...action, startTime: action.endTime, endTime: action.startTime }] },
    ],
  ])('refuses: %s', async (message, body) => {
    expect(await plane.refusal(putProvisionConfig, { ...target, body })).toMatchObject({
      code: 'InvalidArgument',
      message,
    })
  })

  test.each<Record<string, unknown>>([
    { target: -1 },
    { target: 'x' },
    { alwaysAllocateCPU: 1 },
    { scheduledActions: {} },
    { scheduledActions: ['x'] },
    { scheduledActions: [{ ...action, name: '' }] },
    { scheduledActions: [{ ...action, target: undefined }] },
    { targetTrackingPolicies: [{ ...policy, metricType: 'Luck' }] },
    { targetTrackingPolicies: [{ ...policy, metricTarget: 1.1 }] },
    { targetTrackingPolicies: [{ ...policy, minCapacity: 201 }] },
    { targetTrackingPolicies: [{ ...policy, maxCapacity: undefined }] },
  ])('refuses %j', async (body) => {
    expect(await plane.refusal(putProvisionConfig, { ...target, body })).toMatchObject({
      code: 'InvalidArgument',
    })
  })

  test('follows the use of the processor only where instance metrics are on', async () => {
    const body = { targetTrackingPolicies: [{ ...policy, metricType: 'CPUUtilization' }] }
    expect(await plane.refusal(putProvisionConfig, { ...target, body })).toMatchObject({
      code: 'InstanceMetricsRequired',
    })
    await plane.putService('demo', {
      extras: { 'alibaba-fc': { logConfig: { enableInstanceMetrics: true } } },
    })
    expect(await put(body)).toMatchObject(body)
  })

  test('keeps to the state that If-Match names', async () => {
    await put({ target: 1 })
    const draft = { ...target, body: { target: 2 }, headers: { 'if-match': 'wrong' } }
    expect(await plane.refusal(putProvisionConfig, draft)).toMatchObject({ code: 'PreconditionFailed' })
  })

  test('can be taken back when the alias leads nowhere any more', async () => {
    await put({ target: 2 })
    await plane.call(deleteServiceVersion, { params: { service: 'demo', versionId: '1' } })
    expect(await plane.refusal(putProvisionConfig, { ...target, body: { target: 3 } })).toMatchObject({
      code: 'VersionNotFound',
    })
    expect(await put({ target: 0 })).toMatchObject({ target: 0 })
  })

  test('refuses unknown services, functions and qualifiers, as reading does', async () => {
    for (const operation of [putProvisionConfig, getProvisionConfig]) {
      const body = { target: 0 }
      expect(
        await plane.refusal(operation, {
          params: { service: 'nothing', function: 'one' },
          body,
        }),
      ).toMatchObject({ code: 'ServiceNotFound' })
      expect(
        await plane.refusal(operation, {
          params: { service: 'demo', function: 'six' },
          body,
        }),
      ).toMatchObject({ code: 'FunctionNotFound' })
      expect(await plane.refusal(operation, { ...target, qualifier: 'dev', body })).toMatchObject({
        code: 'AliasNotFound',
      })
      expect(await plane.refusal(operation, { ...target, qualifier: '9', body })).toMatchObject({
        code: 'VersionNotFound',
      })
    }
  })
})

describe('getProvisionConfig', () => {
  test('answers 404 before the first put and the rest after the target went to 0', async () => {
    expect(await plane.refusal(getProvisionConfig, target)).toMatchObject({ code: 'ProvisionConfigNotFound' })
    await put({ target: 3 })
    await put({ target: 0, scheduledActions: [] })
    expect((await plane.call(getProvisionConfig, target)).body).toMatchObject({ target: 0, current: 0 })
  })
})

describe('listProvisionConfigs', () => {
  const resources = async (query: Record<string, string> = {}): Promise<unknown> => {
    const { body } = await plane.call(listProvisionConfigs, { query })
    return { ...body, provisionConfigs: column(body['provisionConfigs'], 'resource') }
  }

  test('is empty when nothing is kept ready', async () => {
    expect((await plane.call(listProvisionConfigs)).body).toEqual({ provisionConfigs: [] })
    await put({ target: 1 })
    await put({ target: 0 })
    expect((await plane.call(listProvisionConfigs)).body).toEqual({ provisionConfigs: [] })
  })

  test('lists those of the account, a service or a qualifier, in pages', async () => {
    await plane.putService('demo2')
    await plane.putFunction('demo2', 'one')
    await plane.call(putProvisionConfig, {
      params: { service: 'demo2', function: 'one' },
      body: { target: 1 },
    })
    await put({ target: 10 })
    await plane.call(putProvisionConfig, {
      params: { service: 'demo', function: 'two' },
      qualifier: 'prod',
      body: { target: 5 },
    })
    await plane.call(putProvisionConfig, {
      params: { service: 'demo', function: 'two' },
      body: { scheduledActions: [action] },
    })

    expect(await resources()).toEqual({
      provisionConfigs: [
        `${ACCOUNT}#demo#LATEST#two`,
        `${ACCOUNT}#demo#prod#one`,
        `${ACCOUNT}#demo#prod#two`,
        `${ACCOUNT}#demo2#LATEST#one`,
      ],
    })
    expect(await resources({ serviceName: 'demo' })).toEqual({
      provisionConfigs: [
        `${ACCOUNT}#demo#LATEST#two`,
        `${ACCOUNT}#demo#prod#one`,
        `${ACCOUNT}#demo#prod#two`,
      ],
    })
    const ofAlias = { serviceName: 'demo', qualifier: 'prod' }
    expect(await resources(ofAlias)).toEqual({
      provisionConfigs: [`${ACCOUNT}#demo#prod#one`, `${ACCOUNT}#demo#prod#two`],
    })
    const nextToken = `${ACCOUNT}#demo#prod#two`
    expect(await resources({ ...ofAlias, limit: '1' })).toEqual({
      provisionConfigs: [`${ACCOUNT}#demo#prod#one`],
      nextToken,
    })
    expect(await resources({ ...ofAlias, limit: '1', nextToken })).toEqual({
      provisionConfigs: [`${ACCOUNT}#demo#prod#two`],
    })
  })

  test('refuses a qualifier without a service and a bad limit', async () => {
    expect(await plane.refusal(listProvisionConfigs, { query: { qualifier: 'prod' } })).toMatchObject({
      code: 'InvalidArgument',
      message: 'Service name is required if qualifier is provided',
    })
    expect(await plane.refusal(listProvisionConfigs, { query: { limit: '101' } })).toMatchObject({
      code: 'InvalidArgument',
    })
  })
})
