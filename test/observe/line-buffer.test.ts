import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CHUNK_BYTES, ChunkMemory, LineBuffer } from '../../src/observe/line-buffer.ts'

const contentOf = (lines: LineBuffer, memory: ChunkMemory): { content: string; textBytes: number } => {
  let content = ''
  let textBytes = 0
  for (const chunk of lines.take()) {
    content += chunk.memory.toString('utf8', 0, chunk.usedBytes)
    textBytes += chunk.textBytes
    memory.give(chunk.memory)
  }
  return { content, textBytes }
}

test('gives back every line as it was, in order, and counts the bytes of the texts', () => {
  const text = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 200 }),
    fc.integer({ min: 1, max: 50_000 }).map((length) => 'x'.repeat(length)),
    fc.integer({ min: 1, max: 20_000 }).map((length) => 'ü'.repeat(length)),
  )
  fc.assert(
    fc.property(fc.array(fc.array(text, { maxLength: 40 }), { maxLength: 4 }), (rounds) => {
      const memory = new ChunkMemory()
      const lines = new LineBuffer(memory, 64 * 1024)
      for (const texts of rounds) {
        let bytes = 0
        for (const one of texts) bytes += lines.add(`"${one.toWellFormed()}"\n`, one.length)
        const expected = texts.map((one) => `"${one.toWellFormed()}"\n`).join('')
        const { content, textBytes } = contentOf(lines, memory)
        // Not compared by the matcher, which would print it all.
        expect(content === expected).toBe(true)
        expect(bytes).toBe(Buffer.byteLength(expected))
        expect(textBytes).toBe(bytes - texts.length * 3)
      }
    }),
    { numRuns: 50 },
  )
})

test('cuts between lines into chunks that are written in one go', () => {
  const lines = new LineBuffer(new ChunkMemory(), 10_000)
  for (let number = 0; number < 40; number += 1) lines.add(`${'x'.repeat(999)}\n`, 999)
  expect(lines.hasFull).toBe(true)
  const sizes = lines.take().map(({ usedBytes }) => usedBytes)
  expect(sizes.reduce((sum, size) => sum + size)).toBe(40_000)
  for (const size of sizes) {
    expect(size).toBeLessThanOrEqual(10_000)
    expect(size % 1000).toBe(0)
  }
  expect(lines.hasFull).toBe(false)
})

test('holds little for a function that logs little, and uses the memory of one that logs much again', () => {
  const memory = new ChunkMemory()
  const little = new LineBuffer(memory, CHUNK_BYTES)
  little.add('{}\n', 0)
  expect(little.take()[0]?.memory.length).toBe(1024)

  const much = new LineBuffer(memory, CHUNK_BYTES)
  const round = (): Buffer | undefined => {
    for (let number = 0; number < 200; number += 1) much.add(`${'x'.repeat(999)}\n`, 999)
    const [chunk] = much.take()
    if (chunk !== undefined) memory.give(chunk.memory)
    return chunk?.memory
  }
  const first = round()
  expect(first).toHaveLength(CHUNK_BYTES)
  expect(round()).toBe(first)
})
