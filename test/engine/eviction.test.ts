import { describe, expect, test } from 'vitest'
import { chooseVictims } from '../../src/engine/eviction.ts'

describe('chooseVictims', () => {
  const idle = (idleSinceMs: number, memoryMib: number) => ({ idleSinceMs, version: { memoryMib } })

  test('takes nobody when nothing is missing or nothing helps', () => {
    expect(chooseVictims([idle(1, 64)], 0, 0)).toEqual([])
    expect(chooseVictims([idle(1, 64)], 65, 0)).toBeUndefined()
  })

  test('takes those idle longest, and spares the small ones that a large one makes unnecessary', () => {
    const [old, older, large] = [idle(2, 64), idle(1, 64), idle(3, 1024)]
    expect(chooseVictims([old, large, older], 100, 0)).toEqual([older, old])
    expect(chooseVictims([old, large, older], 1000, 1)).toEqual([large])
  })
})
