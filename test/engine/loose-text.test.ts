import { describe, expect, test } from 'vitest'
import { LooseText } from '../../src/engine/loose-text.ts'

describe('LooseText', () => {
  test('hands over what was kept, once', () => {
    const loose = new LooseText()
    loose.keep(Buffer.from('a'))
    loose.keep(Buffer.from('b'))
    expect(Buffer.concat(loose.take()).toString()).toBe('ab')
    expect(loose.isEmpty).toBe(true)
    expect(loose.take()).toEqual([])
  })

  test('keeps the end of more than 64 KiB', () => {
    const loose = new LooseText()
    for (let line = 0; line < 100; line += 1) loose.keep(Buffer.alloc(1024, 'x'))
    loose.keep(Buffer.from('the reason'))
    const kept = Buffer.concat(loose.take())
    expect(kept.length).toBeLessThanOrEqual(64 * 1024)
    expect(kept.toString().endsWith('the reason')).toBe(true)
  })

  test('keeps the end of one text longer than 64 KiB', () => {
    const loose = new LooseText()
    loose.keep(Buffer.concat([Buffer.alloc(200_000, 'x'), Buffer.from('end')]))
    const kept = Buffer.concat(loose.take())
    expect(kept.length).toBe(64 * 1024)
    expect(kept.toString().endsWith('end')).toBe(true)
  })
})
