import { mkdirSync } from 'node:fs'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { record, whyNotTraced } from './system-calls.ts'

const WORKING_STORE = fileURLToPath(new URL('./working-store.ts', import.meta.url))

test('a quota that is used up refuses what is to be written, as a full disk does, until there is room', async (context) => {
  const missing = whyNotTraced()
  context.skip(missing !== '', missing)
  const root = await realpath(await mkdtemp(join(tmpdir(), 'anvoke-quota-')))
  try {
    const dir = join(root, 'recorded')
    mkdirSync(dir)
    // An even number: after each refused write the store asks why, with another one.
    const fault = 'pwrite64:error=EDQUOT:when=400..431'
    const events = record(dir, join(root, 'calls.log'), [WORKING_STORE, join(dir, 'store.db'), '120'], fault)
    const said = events.flatMap((event) => (event.kind === 'said' ? [event.line] : []))
    expect(said.filter((line) => line.startsWith('!'))).toEqual([])
    expect(said).toContain('=')
    expect(said.filter((line) => line.startsWith('+'))).toHaveLength(240)
  } finally {
    await rm(root, { recursive: true })
  }
}, 60_000)
