import { beforeEach, describe, expect, test } from 'vitest'
import type { ApiVersion } from '../../../src/dialects/alibaba-fc/operation.ts'
import {
  getResourceTags,
  listTaggedResources,
  tagResource,
  untagResource,
} from '../../../src/dialects/alibaba-fc/tags.ts'
import { tagsKey } from '../../../src/engine/keys.ts'
import { ACCOUNT, ControlPlane, REGION } from './control-plane.ts'

let plane: ControlPlane
const fullArn = `acs:fc:${REGION}:${ACCOUNT}:services/demo`

beforeEach(async () => {
  plane = await ControlPlane.open()
  await plane.putService('demo')
  await plane.putFunction('demo', 'one')
})

const tag = (tags: unknown, resourceArn = 'services/demo'): Promise<{ status: number }> =>
  plane.call(tagResource, { body: { resourceArn, tags } })

const tagsOf = async (resourceArn = 'services/demo'): Promise<unknown> =>
  (await plane.call(getResourceTags, { query: { resourceArn } })).body

describe('tagResource', () => {
  test('adds to the tags there are and gives a known key its new value', async () => {
    expect(await tag({ k3: 'v3', k1: 'old' })).toEqual({ status: 204, body: undefined })
    await tag({ k1: 'v1' }, fullArn)
    expect(await tagsOf()).toEqual({ resourceArn: fullArn, tags: { k1: 'v1', k3: 'v3' } })
  })

  test('names a resource by its short or its full ARN and always answers the full one', async () => {
    await tag({ k: 'v' }, `acs:fc:cn-elsewhere:${ACCOUNT}:services/demo`)
    for (const arn of ['services/demo', fullArn])
      expect(await tagsOf(arn)).toEqual({ resourceArn: fullArn, tags: { k: 'v' } })
  })

  test('tags a function apart from its service', async () => {
    await tag({ k: 'v' }, 'services/demo/functions/one')
    expect(await tagsOf('services/demo/functions/one')).toEqual({
      resourceArn: `${fullArn}/functions/one`,
      tags: { k: 'v' },
    })
    expect(await tagsOf()).toEqual({ resourceArn: fullArn, tags: {} })
  })

  test('takes empty values and names that other programs find special', async () => {
    const tags = JSON.parse('{"empty":"","none":null,"__proto__":"p","CaseKept":"x"}') as unknown
    await tag(tags)
    expect(plane.catalogue.get('tags', tagsKey(ACCOUNT, 'demo'))?.value.tags).toEqual(
      JSON.parse('{"empty":"","none":"","__proto__":"p","CaseKept":"x"}'),
    )
  })

  test('takes the longest key and value and 20 tags, and no more', async () => {
    await tag({ ['k'.repeat(64)]: 'v'.repeat(128) })
    await tag(Object.fromEntries(Array.from({ length: 19 }, (_, index) => [`k${index}`, ''])))
    await expect(tag({ k0: 'again' })).resolves.toMatchObject({ status: 204 })
    expect(
      await plane.refusal(tagResource, { body: { resourceArn: 'services/demo', tags: { extra: '' } } }),
    ).toMatchObject({ code: 'LimitExceeded', message: 'a resource has too many tags (max: 20, actual: 21)' })
    const many = Object.fromEntries(Array.from({ length: 21 }, (_, index) => [`k${index}`, '']))
    expect(
      await plane.refusal(tagResource, { body: { resourceArn: 'services/demo', tags: many } }),
    ).toMatchObject({
      code: 'InvalidArgument',
      message: 'Tags contains too many values (max: 20, actual: 21)',
    })
  })

  test.each(['', 'k'.repeat(65), 'aliyun-x', 'acs:x', 'see http://x', 'https://'])(
    'refuses the key %j',
    async (key) => {
      expect(
        await plane.refusal(tagResource, {
          body: { resourceArn: 'services/demo', tags: { [key]: 'v' } },
        }),
      ).toMatchObject({ code: 'InvalidArgument' })
    },
  )

  test.each<[unknown]>([['v'.repeat(129)], [1], [{}]])('refuses the value %j', async (value) => {
    expect(
      await plane.refusal(tagResource, {
        body: { resourceArn: 'services/demo', tags: { k: value } },
      }),
    ).toMatchObject({ code: 'InvalidArgument' })
  })

  test('refuses absent, empty and ill-formed tags', async () => {
    const resourceArn = 'services/demo'
    expect(await plane.refusal(tagResource, { body: { resourceArn, tags: {} } })).toMatchObject({
      code: 'InvalidArgument',
      message: 'At least 1 tag is required',
    })
    expect(await plane.refusal(tagResource, { body: { resourceArn } })).toMatchObject({
      code: 'InvalidArgument',
      message: 'Tags is required but not provided',
    })
    expect(await plane.refusal(tagResource, { body: { resourceArn, tags: ['k'] } })).toMatchObject({
      code: 'InvalidArgument',
    })
  })
})

describe.each<ApiVersion>(['2016-08-15', '2021-04-06'])('untagResource in %s', (api) => {
  const untag = (body: Record<string, unknown>): Promise<{ status: number }> =>
    plane.call(untagResource, { api, body: { resourceArn: 'services/demo', ...body } })

  beforeEach(() => tag({ k1: 'v1', k2: 'v2', k3: 'v3' }))

  test('takes the named tags', async () => {
    expect(await untag({ tagKeys: ['k3', 'unknown'], all: false })).toEqual({ status: 204, body: undefined })
    expect(await tagsOf()).toMatchObject({ tags: { k1: 'v1', k2: 'v2' } })
  })

  test('takes every tag with all, whatever keys are named', async () => {
    await untag({ tagKeys: [], all: true })
    expect(await tagsOf()).toEqual({ resourceArn: fullArn, tags: {} })
    expect(plane.catalogue.list('tags', '')).toEqual([])
    expect((await untag({ all: true })).status).toBe(204)
  })

  test('leaves no record behind when the last key goes', async () => {
    await untag({ tagKeys: ['k1', 'k2', 'k3'] })
    expect(plane.catalogue.list('tags', '')).toEqual([])
  })

  test.each<[string, Record<string, unknown>]>([
    ['At least 1 tag key is required if all=false', {}],
    ['At least 1 tag key is required if all=false', { tagKeys: [] }],
    [
      'TagKeys contains too many values (max: 50, actual: 51)',
      { tagKeys: Array.from({ length: 51 }, (_, index) => `k${index}`) },
    ],
    ["TagKeys is set to an invalid value (allowed: a list of strings, actual: '1')", { tagKeys: [1] }],
    [
      "All is set to an invalid value (allowed: true | false, actual: 'yes')",
      { tagKeys: ['k1'], all: 'yes' },
    ],
  ])('refuses: %s', async (message, body) => {
    const draft = { api, body: { resourceArn: 'services/demo', ...body } }
    expect(await plane.refusal(untagResource, draft)).toMatchObject({ code: 'InvalidArgument', message })
    expect(await tagsOf()).toMatchObject({ tags: { k1: 'v1', k2: 'v2', k3: 'v3' } })
  })
})

describe('every operation on tags', () => {
  test.each([
    ['ServiceNotFound', 'services/nothing'],
    ['FunctionNotFound', 'services/demo/functions/two'],
    ['AccessDenied', `acs:fc:${REGION}:1:services/demo`],
    ['InvalidArgument', 'demo'],
    ['InvalidArgument', 'services/'],
    ['InvalidArgument', 'services/de mo'],
    ['InvalidArgument', 'services/demo.prod'],
    ['InvalidArgument', 'services/demo/functions/'],
    ['InvalidArgument', 'acs:oss:x:y:services/demo'],
  ])('answers %s for the ARN %j', async (code, resourceArn) => {
    const refusals = [
      plane.refusal(tagResource, { body: { resourceArn, tags: { k: 'v' } } }),
      plane.refusal(untagResource, { body: { resourceArn, all: true } }),
      plane.refusal(getResourceTags, { query: { resourceArn } }),
    ]
    expect(await Promise.all(refusals)).toMatchObject([{ code }, { code }, { code }])
  })

  test('refuses an absent ARN', async () => {
    for (const operation of [tagResource, untagResource, getResourceTags])
      expect(await plane.refusal(operation)).toMatchObject({
        code: 'InvalidArgument',
        message: 'ResourceArn is required but not provided',
      })
  })
})

describe('listTaggedResources', () => {
  test('lists what has tags by ARN, in pages, and nothing of other accounts', async () => {
    expect((await plane.call(listTaggedResources)).body).toEqual({ resources: [] })
    await plane.putService('alpha')
    await tag({ k: 'v' }, 'services/demo/functions/one')
    await tag({ k: 'v' })
    await tag({ a: 'b' }, 'services/alpha')
    const alpha = { resourceArn: `acs:fc:${REGION}:${ACCOUNT}:services/alpha`, tags: { a: 'b' } }
    const demo = { resourceArn: fullArn, tags: { k: 'v' } }
    const one = { resourceArn: `${fullArn}/functions/one`, tags: { k: 'v' } }
    expect((await plane.call(listTaggedResources)).body).toEqual({ resources: [alpha, demo, one] })
    expect((await plane.call(listTaggedResources, { query: { limit: '2' } })).body).toEqual({
      resources: [alpha, demo],
      nextToken: one.resourceArn,
    })
    expect((await plane.call(listTaggedResources, { query: { nextToken: one.resourceArn } })).body).toEqual({
      resources: [one],
    })
    expect((await plane.call(listTaggedResources, { account: '12' })).body).toEqual({ resources: [] })
    expect(await plane.refusal(listTaggedResources, { query: { limit: '1000' } })).toMatchObject({
      code: 'InvalidArgument',
    })
  })
})
