import { expect, test } from 'vitest'
import { newRequestId } from '../../src/model/request-id.ts'

test('request ids are UUIDs of version 7', () => {
  for (let count = 0; count < 1000; count += 1)
    expect(newRequestId()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})

test('request ids begin with their time, so that later ones come after earlier ones', () => {
  const times = [0, 1, 0xffff, 0x1_0000, Date.UTC(2026, 10, 22), Date.UTC(2026, 10, 22) + 1]
  const ids = times.map((nowMs) => newRequestId(nowMs))
  expect(ids.toSorted()).toEqual(ids)
  expect(Number.parseInt(ids[4]?.replaceAll('-', '').slice(0, 12) ?? '', 16)).toBe(times[4])
})

test('request ids of one millisecond differ', () => {
  const ids = Array.from({ length: 10_000 }, () => newRequestId(1_000))
  expect(new Set(ids).size).toBe(ids.length)
})
