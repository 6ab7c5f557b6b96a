import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { KeyRing } from '../../src/auth/keyring.ts'

const KEY = Buffer.alloc(32, 1)
const NOW_MS = 1_700_000_000_000
const STATIC = { accessKeyId: 'id', accessKeySecret: 'secret', accountId: '1' }
const REQUEST = { accountId: 'tenant', sessionName: 'worker', ttlMs: 60_000 }

describe('configured keys', () => {
  test('are found by id, with their account and a usable secret', () => {
    const lookup = new KeyRing([STATIC], KEY).find('id', undefined, NOW_MS)
    if (lookup.kind !== 'found') throw new Error(lookup.kind)
    expect(lookup.key).toMatchObject({ accessKeyId: 'id', accountId: '1' })
    const signed = createHmac('sha256', lookup.key.secret).update('x').digest('hex')
    expect(signed).toBe(createHmac('sha256', 'secret').update('x').digest('hex'))
  })

  test('are unknown under any other id', () => {
    const ring = new KeyRing([STATIC], KEY)
    for (const id of ['', 'ID', 'id ', '__proto__', 'constructor']) {
      expect(ring.find(id, undefined, NOW_MS)).toEqual({ kind: 'unknown' })
    }
  })

  test('need their security token when they have one, and no token when they have none', () => {
    const ring = new KeyRing([STATIC, { ...STATIC, accessKeyId: 'STS.x', securityToken: 'token' }], KEY)
    expect(ring.find('STS.x', 'token', NOW_MS).kind).toBe('found')
    for (const token of [undefined, '', 'toke', 'tokeN', 'token ']) {
      expect(ring.find('STS.x', token, NOW_MS)).toEqual({ kind: 'bad-token' })
    }
    expect(ring.find('id', 'token', NOW_MS)).toEqual({ kind: 'bad-token' })
  })

  test('are refused twice, with an empty field, or beside a short signing key', () => {
    expect(() => new KeyRing([STATIC, STATIC], KEY)).toThrow("'id' is configured twice")
    for (const field of ['accessKeyId', 'accessKeySecret', 'accountId', 'securityToken']) {
      expect(() => new KeyRing([{ ...STATIC, [field]: '' }], KEY)).toThrow('empty field')
    }
    expect(() => new KeyRing([STATIC], KEY.subarray(1))).toThrow('under 32 bytes')
  })
})

describe('temporary keys', () => {
  const ring = new KeyRing([STATIC], KEY)

  test('are found until they expire, by every ring with the same signing key', () => {
    const issued = ring.issueTemporary(REQUEST, NOW_MS)
    expect(issued.accessKeyId).toMatch(/^STS\.[\w-]{22}$/)
    expect(issued.expiresAtMs).toBe(NOW_MS + 60_000)
    const lookup = new KeyRing([], KEY).find(issued.accessKeyId, issued.securityToken, NOW_MS + 59_999)
    if (lookup.kind !== 'found') throw new Error(lookup.kind)
    expect(lookup.key).toMatchObject({ accountId: 'tenant', expiresAtMs: issued.expiresAtMs })
    expect(lookup.key.secret.export().toString()).toBe(issued.accessKeySecret)
    const late = ring.find(issued.accessKeyId, issued.securityToken, NOW_MS + 60_000)
    expect(late).toEqual({ kind: 'expired' })
  })

  test('differ each time, and the secret cannot be read from the token', () => {
    const [first, second] = [ring.issueTemporary(REQUEST, NOW_MS), ring.issueTemporary(REQUEST, NOW_MS)]
    expect(first.accessKeyId).not.toBe(second.accessKeyId)
    expect(first.accessKeySecret).not.toBe(second.accessKeySecret)
    expect(first.securityToken).not.toContain(first.accessKeySecret)
  })

  test('are refused with a token that was altered, made elsewhere, or belongs to another', () => {
    const issued = ring.issueTemporary(REQUEST, NOW_MS)
    const [payload = '', signature = ''] = issued.securityToken.split('.')
    const claims: object = JSON.parse(Buffer.from(payload, 'base64url').toString())
    const forged = Buffer.from(JSON.stringify({ ...claims, accountId: 'other' })).toString('base64url')
    const elsewhere = new KeyRing([], Buffer.alloc(32, 2)).issueTemporary(REQUEST, NOW_MS)
    for (const token of [
      undefined,
      '',
      '.',
      payload,
      `${payload}.`,
      `${payload}.${signature}=`,
      `${forged}.${signature}`,
      `${payload}.${signature.toLowerCase()}`,
      elsewhere.securityToken,
      ring.issueTemporary(REQUEST, NOW_MS).securityToken,
      'x'.repeat(1_000_000),
    ]) {
      expect(ring.find(issued.accessKeyId, token, NOW_MS)).toEqual({ kind: 'bad-token' })
    }
    expect(ring.find('id', issued.securityToken, NOW_MS)).toEqual({ kind: 'bad-token' })
    expect(ring.find('another', issued.securityToken, NOW_MS)).toEqual({ kind: 'unknown' })
  })

  test('have a bounded life and bounded names', () => {
    for (const ttlMs of [0, -1, Number.NaN, 129_600_001, Number.POSITIVE_INFINITY]) {
      expect(() => ring.issueTemporary({ ...REQUEST, ttlMs }, NOW_MS)).toThrow(RangeError)
    }
    for (const name of ['', 'x'.repeat(129), '\u0001'.repeat(128)]) {
      expect(() => ring.issueTemporary({ ...REQUEST, sessionName: name }, NOW_MS)).toThrow(RangeError)
      expect(() => ring.issueTemporary({ ...REQUEST, accountId: name }, NOW_MS)).toThrow(RangeError)
    }
  })
})
