import { expect, test } from 'vitest'
import { isJsonObject, parsedJson } from '../../src/model/json.ts'

test('lists and null are no objects', () => {
  expect([{}, [], null, 'x', undefined].map(isJsonObject)).toEqual([true, false, false, false, false])
})

test('text that is no JSON has no value', () => {
  expect(['{"a":[1]}', 'null', '', '{', 'undefined'].map(parsedJson)).toEqual([
    { a: [1] },
    null,
    undefined,
    undefined,
    undefined,
  ])
})
