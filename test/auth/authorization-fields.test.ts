import { expect, test } from 'vitest'
import { parseAuthorizationFields } from '../../src/auth/authorization-fields.ts'

test('the fields behind a scheme are told apart, blanks around them left out', () => {
  expect(parseAuthorizationFields('B = x/y=z ,A=1, C=', ['A', 'B', 'C'])).toEqual(['1', 'x/y=z', ''])
})

test.each([
  '',
  'A=1',
  'A=1,B',
  'A,B=1',
  'A=1,B=2,',
  'A=1,B=2,C=3',
  'A=1,C=2',
  'A=1,A=2',
  'A=1,A=1,B=2',
  ',,,,,,',
])('%j is not the two fields', (text) => {
  expect(parseAuthorizationFields(text, ['A', 'B'])).toBeUndefined()
})
