import { describe, expect, test } from 'vitest'
import {
  facts,
  lengthOf,
  manyLines,
  mebibytesOf,
  millisecondsOf,
  oneLine,
  table,
  toJson,
} from '../../src/cli/queue/text.ts'

describe('text that functions and callers wrote', () => {
  const hostile = 'a\u001b[31mred\u009b2J\r\u202e\tb\nc'

  test('cannot steer a terminal', () => {
    expect(oneLine(hostile)).toBe(String.raw`a\u001b[31mred\u009b2J\u000d\u202e\u0009b\u000ac`)
    expect(manyLines(hostile)).toBe(`${String.raw`a\u001b[31mred\u009b2J\u000d\u202e`}\tb\nc`)
    expect(table(['HEAD'], [[hostile]]).split('\n')).toHaveLength(3)
    expect(facts([['name', hostile]]).split('\n')).toHaveLength(2)
  })

  test('keeps its meaning in JSON, where it cannot either', () => {
    const json = toJson({ [hostile]: hostile })
    expect(JSON.parse(json)).toEqual({ [hostile]: hostile })
    // oxlint-disable-next-line no-control-regex -- these are what must not be there
    expect(json).not.toMatch(/[\u001b\u009b\r\u202e]/)
  })
})

test('tables end numbers and begin texts at the same place', () => {
  expect(
    table(
      ['NAME', 'COUNT', 'END'],
      [
        ['a', 5, 'x'],
        ['longer', 1000, 'y'],
      ],
    ),
  ).toBe('NAME    COUNT  END\na           5  x\nlonger   1000  y\n')
})

test.each([
  [0, '0 ms'],
  [1999, '1999 ms'],
  [2000, '2 s'],
  [119_999, '119 s'],
  [120_000, '2 min'],
  [7_200_000, '2 h'],
  [172_800_000, '2 d'],
])('%d ms are told as %s', (ms, told) => {
  expect(lengthOf(ms)).toBe(told)
})

test('what was measured is told as exactly as it says something', () => {
  expect([1.2345, 7.05, 2000].map(millisecondsOf)).toEqual(['1.2 ms', '7.1 ms', '2000 ms'])
  expect([0, 5, 42 * 1024 ** 2 + 60_000].map(mebibytesOf)).toEqual(['0 MiB', 'less than 0.1 MiB', '42.1 MiB'])
})
