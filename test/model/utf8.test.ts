import { expect, test } from 'vitest'
import { utf8Cut, utf8End, utf8OrBase64 } from '../../src/model/utf8.ts'

test.each([
  [0, 0],
  [1, 1],
  [2, 1],
  [3, 1],
  [4, 4],
  [9, 5],
])('a text is cut at %i bytes without cutting a character, at %i', (bytes, length) => {
  expect(utf8Cut(Buffer.from('a…b'), bytes)).toBe(length)
})

test('what is no UTF-8 is cut where it was asked for', () => {
  expect(utf8Cut(Buffer.alloc(9, 0x80), 8)).toBe(8)
})

test.each([
  [0, '…😀b'],
  [1, '😀b'],
  [2, '😀b'],
  [3, '😀b'],
  [4, 'b'],
  [6, 'b'],
  [7, 'b'],
  [8, ''],
])('a text that lost its first %i bytes ends in %j', (lost, end) => {
  expect(utf8End(Buffer.from('…😀b').subarray(lost))).toBe(end)
})

test('no more is left out than a character may have', () => {
  expect(utf8End(Buffer.alloc(4, 0x80))).toBe('\u{fffd}')
})

test('bytes that are no text go in base64', () => {
  expect([Buffer.from('é'), Buffer.from([0xff, 0xfe]), Buffer.alloc(0)].map(utf8OrBase64)).toEqual([
    'é',
    '//4=',
    '',
  ])
})
