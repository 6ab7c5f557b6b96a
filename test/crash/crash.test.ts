import { expect, test } from 'vitest'
import { runCampaign } from './campaign.ts'

const KILLS = 8
/** Another one each time finds more than one that is always the same; a failed test tells which it was. */
const seed = Math.floor(Math.random() * 2 ** 32)

test('a server that is killed at random, with what it runs, loses no accepted call, settles none twice and leaves nothing behind', async () => {
  const report = await runCampaign({
    seed,
    kills: KILLS,
    forMs: 150_000,
    isShort: true,
    progress: () => undefined,
    signal: new AbortController().signal,
  })
  expect({ seed, violations: report.violations }).toEqual({ seed, violations: [] })
  expect(report.audit).toEqual({ imbalance: 0, miscounted: 0, strayPayloads: 0 })
  // Else nothing was tried. A slow machine has less, and no less than this.
  expect(report.kills.server).toBeGreaterThan(0)
  expect(report.accepted).toBeGreaterThan(0)
  expect(report.runs).toBeGreaterThan(0)
}, 360_000)
