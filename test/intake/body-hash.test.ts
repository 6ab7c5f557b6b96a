import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { bodySha256 } from '../../src/intake/body-hash.ts'
import { PARSED_BODY_BYTES } from '../../src/intake/large-body.ts'
import { Turns } from '../../src/intake/slices.ts'
import { payloadOf } from '../../src/model/payload.ts'

test.each([0, 1, PARSED_BODY_BYTES])('a body of %i bytes is hashed at once', (bytes) => {
  const content = Buffer.alloc(bytes, 3)
  const expected = createHash('sha256').update(content).digest('hex')
  expect(bodySha256(payloadOf(content), new Turns())).toBe(expected)
})

test('a larger one waits for its turn', async () => {
  const turns = new Turns()
  const content = Buffer.alloc(PARSED_BODY_BYTES + 1, 3)
  const order: string[] = []
  const first = Promise.withResolvers<undefined>()
  const before = turns.run(() => first.promise).then(() => order.push('before'))
  const hash = Promise.resolve(bodySha256(payloadOf(content), turns)).then((hex) => {
    order.push('hashed')
    return hex
  })
  first.resolve(undefined)
  expect(await hash).toBe(createHash('sha256').update(content).digest('hex'))
  await before
  expect(order).toEqual(['before', 'hashed'])
})
