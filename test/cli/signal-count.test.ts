import { describe, expect, test } from 'vitest'
import { SignalCount, type SignalWay } from '../../src/cli/signal-count.ts'

describe('a signal to stop', () => {
  test.each<[string, [SignalWay, number][], boolean[]]>([
    [
      'counts as the first within half a second of it',
      [
        ['direct', 0],
        ['direct', 2],
        ['handedOn', 3],
        ['handedOn', 500],
      ],
      [false, false, false, false],
    ],
    [
      'asks a second time when it comes later',
      [
        ['direct', 0],
        ['direct', 2],
        ['direct', 501],
      ],
      [false, false, true],
    ],
    [
      'asks only once when a launcher hands it on late',
      [
        ['direct', 0],
        ['handedOn', 900],
        ['handedOn', 1000],
      ],
      [false, false, true],
    ],
  ])('%s', (_name, signals, seconds) => {
    const count = new SignalCount()
    expect(signals.map(([way, atMs]) => count.isSecond(way, 10_000 + atMs))).toEqual(seconds)
  })
})
