import { describe, expect, test } from 'vitest'
import { suggest } from '../../src/config/suggest.ts'

describe('suggest', () => {
  test.each([
    ['lsten', 'listen'],
    ['DATA_DIR', 'dataDir'],
    ['maxinstance', 'maxInstances'],
    ['unrelated', undefined],
    ['', undefined],
    ['x'.repeat(100_000), undefined],
  ])('for %s offers %s', (name, expected) => {
    expect(suggest(name, ['listen', 'dataDir', 'maxInstances'])).toBe(expected)
  })
})
