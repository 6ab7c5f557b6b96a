import { spawnSync } from 'node:child_process'
import { readSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { TicketBook, TICKETS_AHEAD } from '../../src/engine/ticket-book.ts'
import { makeTicketFile } from '../../src/engine/ticket-file.ts'
import { memoryBackedDir } from '../../src/sandbox/server-directory.ts'

describe('TicketBook', () => {
  let book: TicketBook
  beforeEach(() => {
    book = new TicketBook(makeTicketFile(memoryBackedDir()))
  })
  afterEach(() => book.close())

  /** Takes one ticket as the process on the other side does. */
  const take = (): number | undefined => {
    const ticket = Buffer.alloc(1)
    return readSync(book.fd, ticket, 0, 1, null) === 1 ? ticket[0] : undefined
  }

  test('tells exactly how many calls have begun, and lets none begin after that', () => {
    expect([take(), take(), take()]).toEqual([1, 1, 1])
    expect(book.revoke()).toBe(3)
    expect(book.epoch).toBe(2)
    expect(take()).toBe(2)
    expect(book.revoke()).toBe(1)
  })

  test('says that nothing has begun when no ticket was taken', () => {
    expect(book.revoke()).toBe(0)
  })

  test('never runs out while calls are delivered', () => {
    for (let delivered = 1; delivered <= 3 * TICKETS_AHEAD; delivered += 1) {
      book.provideFor(delivered)
      expect(take()).toBe(1)
    }
    expect(book.revoke()).toBe(3 * TICKETS_AHEAD)
  })

  test('goes through all epochs and begins again at 1', () => {
    for (let turn = 0; turn < 255; turn += 1) {
      expect(take()).toBe(turn + 1)
      expect(book.revoke()).toBe(1)
    }
    expect(book.epoch).toBe(1)
    expect(take()).toBe(1)
  })

  test.each([
    ['far beyond its end', 2n ** 63n - 1n],
    ['at its beginning', 0n],
  ])('counts no more calls than there can be when the process has put the offset %s', (_, offset) => {
    book.revoke()
    const moved = spawnSync('python3', ['-c', `import os; os.lseek(0, ${offset}, os.SEEK_SET)`], {
      stdio: [book.fd, 'inherit', 'inherit'],
    })
    expect(moved.status).toBe(0)
    const begun = book.revoke()
    expect(begun).toBeGreaterThanOrEqual(0)
    expect(begun).toBeLessThanOrEqual(TICKETS_AHEAD)
  })
})
