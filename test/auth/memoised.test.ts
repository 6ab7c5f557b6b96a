import { expect, test } from 'vitest'
import { memoised } from '../../src/auth/memoised.ts'

test('an answer is made once, as long as there is room for it', () => {
  const made: string[] = []
  const upper = memoised(
    (text) => {
      made.push(text)
      return text === 'none' ? undefined : text.toUpperCase()
    },
    { entries: 2, characters: 4 },
  )
  expect(['a', 'a', 'b', 'a'].map(upper)).toEqual(['A', 'A', 'B', 'A'])
  expect(made).toEqual(['a', 'b'])
  // The third makes it begin anew.
  expect(['c', 'a'].map(upper)).toEqual(['C', 'A'])
  expect(made).toEqual(['a', 'b', 'c', 'a'])
  for (const text of ['longer', 'none']) expect([upper(text), upper(text)]).toHaveLength(2)
  expect(made.slice(4)).toEqual(['longer', 'longer', 'none', 'none'])
})
