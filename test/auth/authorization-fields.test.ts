import { expect, test } from 'vitest'
import { parseAuthorizationFields } from '../../src/auth/authorization-fields.ts'

test('the fields behind a scheme are told apart, blanks around them left out', () => {
  expect(parseAuthorizationFields('A=1, B = x/y=z ,C=', 3)).toEqual(
    new Map([
      ['A', '1'],
      ['B', 'x/y=z'],
      ['C', ''],
    ]),
  )
})

test.each(['', 'A=1', 'A=1,B=2,C=3', 'A=1,A=2', 'A=1,A=1,B=2', ',,,,,,'])('%j has no two fields', (text) => {
  expect(parseAuthorizationFields(text, 2)).toBeUndefined()
})
