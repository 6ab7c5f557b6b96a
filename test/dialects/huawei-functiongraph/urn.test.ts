import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FssError } from '../../../src/dialects/huawei-functiongraph/errors.ts'
import { formatUrn, parseUrn } from '../../../src/dialects/huawei-functiongraph/urn.ts'

const PROJECT = '7aad83af3e8d42e99ac194e8419e2c9b'
const SCOPE = { projectId: PROJECT, region: 'local-1' }
const FULL = `urn:fss:local-1:${PROJECT}:function`

describe('a URN', () => {
  const latest = { namespace: 'default', name: 'hello', isAlias: false }
  test.each([
    [`${FULL}:default:hello:latest`, latest],
    [`${FULL}:default:hello`, latest],
    [`${FULL}:default:hello:v1.2`, { ...latest, qualifier: 'v1.2' }],
    [`${FULL}:default:hello:!prod`, { ...latest, qualifier: 'prod', isAlias: true }],
    [`${PROJECT}:shop:hello:v1`, { namespace: 'shop', name: 'hello', qualifier: 'v1', isAlias: false }],
    [`${PROJECT}:shop:hello:!prod`, { namespace: 'shop', name: 'hello', qualifier: 'prod', isAlias: true }],
    [`${PROJECT}:shop:hello`, { namespace: 'shop', name: 'hello', isAlias: false }],
    ['shop:hello', { namespace: 'shop', name: 'hello', isAlias: false }],
    ['hello', latest],
  ])('%s is understood', (text, parsed) => {
    expect(parseUrn(text, SCOPE)).toEqual(parsed)
  })

  test('may name any region: a script written for another one works unchanged', () => {
    expect(parseUrn(`urn:fss:eu-de:${PROJECT}:function:default:hello:latest`, SCOPE)).toEqual(latest)
  })

  test.each([
    '',
    ':',
    'a:b:c:d:e',
    'urn:fss:local-1:p:function:default',
    `urn:fss:local-1:${PROJECT}:function:default:hello:v1:v2`,
    `urn:fgs:local-1:${PROJECT}:function:default:hello:latest`,
    `urn:fss:local-1:${PROJECT}:trigger:default:hello:latest`,
    `urn:fss::${PROJECT}:function:default:hello:latest`,
    `${FULL}:default::latest`,
    `${FULL}::hello:latest`,
    `${FULL}:default:hello:`,
    `${FULL}:default:hello:!`,
    `${FULL}:default:he/llo:latest`,
    `${FULL}:default:hello:a/b`,
    `${FULL}:../../x:hello:latest`,
    `urn:fss:local-1:${'0'.repeat(32)}:function:default:hello:latest`,
    `${'0'.repeat(32)}:default:hello`,
    'x'.repeat(2000),
  ])('%j is refused', (text) => {
    expect(() => parseUrn(text, SCOPE)).toThrowError(expect.objectContaining({ code: 'FSS.1309' }))
  })

  test('is written with its version, so that clients can cut the last part off', () => {
    const hello = { namespace: 'default', name: 'hello' }
    expect(formatUrn(SCOPE, hello)).toBe(`${FULL}:default:hello:latest`)
    expect(formatUrn(SCOPE, hello, 'LATEST')).toBe(`${FULL}:default:hello:latest`)
    expect(formatUrn(SCOPE, hello, '!prod')).toBe(`${FULL}:default:hello:!prod`)
  })

  test('that was written is read as it was meant', () => {
    const name = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,40}$/)
    const version = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,40}$/)
    fc.assert(
      fc.property(name, name, version, fc.boolean(), (namespace, function_, qualifier, isAlias) => {
        fc.pre(qualifier !== 'latest' && qualifier !== 'LATEST')
        const text = formatUrn(SCOPE, { namespace, name: function_ }, isAlias ? `!${qualifier}` : qualifier)
        expect(parseUrn(text, SCOPE)).toEqual({ namespace, name: function_, qualifier, isAlias })
      }),
    )
  })

  test('is refused or has names that fit into keys, whatever a caller sends', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc
        .array(
          fc.oneof(fc.constantFrom('urn', 'fss', 'function', PROJECT, '', '!', '!a', 'a/b'), fc.string()),
        )
        .map((parts) => parts.join(':')),
    )
    fc.assert(
      fc.property(text, (urn) => {
        const { namespace, name, qualifier = 'a' } = parsedOr(FssError, urn)
        expect(`${namespace}${name}${qualifier}`).not.toMatch(/[/:\s]/)
      }),
      { numRuns: 1000 },
    )
  })
})

/** What a URN says; nothing of one that is refused the way it should be. */
function parsedOr(
  refusal: typeof FssError,
  urn: string,
): { namespace: string; name: string; qualifier?: string } {
  try {
    return parseUrn(urn, SCOPE)
  } catch (error) {
    if (error instanceof refusal) return { namespace: '', name: '' }
    throw error
  }
}
