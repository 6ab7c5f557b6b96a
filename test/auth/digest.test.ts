import { createHmac, createSecretKey } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hmac, signingKey } from '../../src/auth/digest.ts'

const algorithms = fc.constantFrom('sha1' as const, 'sha256' as const)
const encodings = fc.constantFrom('base64' as const, 'base64url' as const, 'hex' as const)

describe('an HMAC', () => {
  test('is that of the platform, for keys and texts of any length and any characters', () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.string({ unit: 'grapheme', minLength: 2500, maxLength: 3500 }),
    )
    fc.assert(
      fc.property(
        algorithms,
        fc.uint8Array({ maxLength: 200 }),
        fc.array(texts, { minLength: 1, maxLength: 4 }),
        encodings,
        (algorithm, secret, messages, encoding) => {
          const asKey = createSecretKey(secret)
          // Several texts with one key: what one call leaves behind must not show in the next.
          for (const text of messages) {
            const expected = createHmac(algorithm, secret).update(text).digest(encoding)
            expect(hmac(algorithm, asKey, text, encoding)).toBe(expected)
            expect(hmac(algorithm, secret, text, encoding)).toBe(expected)
          }
        },
      ),
    )
  })

  test('of one key in both algorithms does not mix them up', () => {
    const key = signingKey('secret')
    for (const algorithm of ['sha1', 'sha256', 'sha1'] as const)
      expect(hmac(algorithm, key, 'text', 'hex')).toBe(
        createHmac(algorithm, 'secret').update('text').digest('hex'),
      )
  })
})
