import { describe, expect, test } from 'vitest'
import { grantClaims } from '../../src/engine/kept-share.ts'

describe('the share of the host', () => {
  test.each([
    ['leaves a quarter of the places', [[9, 1]], 8, 100, [6]],
    ['leaves a quarter of the memory', [[9, 10]], 100, 100, [7]],
    ['is nothing where there is one place', [[1, 1]], 1, 100, [0]],
    ['goes round, so that a large claim leaves something to others', [[9, 1], [2, 1], [1, 1]], 8, 100, [3, 2, 1]], // prettier-ignore
    ['passes over what does not fit', [[2, 90], [2, 10]], 100, 100, [0, 2]], // prettier-ignore
  ])('%s', (_, claims, maxInstances, memoryBudgetMib, granted) => {
    const asked = claims.map(([count = 0, memoryMib = 0]) => ({ asked: count, memoryMib }))
    expect(grantClaims(asked, { maxInstances, memoryBudgetMib })).toEqual(granted)
  })
})
