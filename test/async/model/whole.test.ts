import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { worldCommands } from './commands.ts'
import { finish } from './finish.ts'
import { World } from './world.ts'

/** See README.md. */
const RUNS = Number(process.env['ANVOKE_MODEL_RUNS'] ?? 25)
const SECONDS = Number(process.env['ANVOKE_MODEL_SECONDS'] ?? RUNS + 120)
const SEED = process.env['ANVOKE_MODEL_SEED']
const PATH = process.env['ANVOKE_MODEL_PATH']
const COMMANDS = Number(process.env['ANVOKE_MODEL_COMMANDS'] ?? 40)

// Each crash starts a thread anew, which reads this from the environment.
const compiled = mkdtempSync(join(tmpdir(), 'anvoke-model-'))
process.env['NODE_COMPILE_CACHE'] = compiled
afterAll(() => rmSync(compiled, { recursive: true }))

test(
  'whatever happens to a server, in any order: nothing accepted is lost, and everything ends once',
  async () => {
    const seed = SEED === undefined ? Date.now() % 2 ** 31 : Number(SEED)
    let runs = 0
    const checked = fc.assert(
      fc.asyncProperty(worldCommands(COMMANDS), async (commands) => {
        runs += 1
        const world = await World.open()
        try {
          await fc.asyncModelRun(() => ({ model: {}, real: world }), commands)
          await finish(world)
        } finally {
          await world.close()
        }
      }),
      {
        numRuns: RUNS,
        seed,
        ...(PATH === undefined ? {} : { path: PATH, endOnFailure: true }),
        interruptAfterTimeLimit: SECONDS * 1000,
      },
    )
    await expect(checked, `seed ${seed}`).resolves.toBeUndefined()
    assert.ok(runs >= Math.min(RUNS, 1))
  },
  (SECONDS + 30) * 1000,
)
