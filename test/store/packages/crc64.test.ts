import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { describe, test } from 'vitest'
import { Crc64 } from '../../../src/store/packages/crc64.ts'

/** The definition, one bit at a time. */
function slowCrc64(bytes: Uint8Array): string {
  let crc = 0xffffffffffffffffn
  for (const byte of bytes) {
    crc ^= BigInt(byte)
    for (let bit = 0; bit < 8; bit += 1)
      crc = (crc & 1n) === 1n ? (crc >> 1n) ^ 0xc96c5795d7870f42n : crc >> 1n
  }
  return (crc ^ 0xffffffffffffffffn).toString()
}

describe('Crc64', () => {
  test.each([
    ['', '0'],
    ['123456789', '11051210869376104954'],
    ['hello', '11177612005948864433'],
    ['The quick brown fox jumps over the lazy dog', '6583902852472283588'],
  ])('gives the published value for %j', (text, decimal) => {
    assert.equal(new Crc64().update(Buffer.from(text)).digest(), decimal)
  })

  test('agrees with the bit-by-bit definition, whatever the chunks and their alignment', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 70 }), { maxLength: 6 }),
        fc.nat({ max: 7 }),
        (chunks, shift) => {
          const crc64 = new Crc64()
          for (const chunk of chunks) {
            const shifted = new Uint8Array(chunk.length + shift).subarray(shift)
            shifted.set(chunk)
            crc64.update(shifted)
          }
          assert.equal(crc64.digest(), slowCrc64(Buffer.concat(chunks)))
        },
      ),
    )
  })

  test('can be read between chunks', () => {
    const crc64 = new Crc64().update(Buffer.from('1234'))
    assert.equal(crc64.digest(), slowCrc64(Buffer.from('1234')))
    assert.equal(crc64.update(Buffer.from('56789')).digest(), '11051210869376104954')
  })
})
