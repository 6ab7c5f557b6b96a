import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { freePort } from './free-port.ts'
import { leftovers } from './leftovers.ts'
import { CrashServer } from './server.ts'

test('what a server makes outside of its directory is found while it runs, and is gone when it has stopped', async () => {
  const home = mkdtempSync(join(tmpdir(), 'anvoke-crash-'))
  const server = new CrashServer(home, await freePort())
  const left = (): readonly string[] =>
    leftovers({ names: server.names, home, temporaryDir: server.temporaryDir })
  try {
    await server.start()
    const found = left()
    expect(found.filter((text) => text.startsWith('process '))).not.toEqual([])
    expect(found.filter((text) => /^(?:\/dev\/shm\/|temporary file )/.test(text))).not.toEqual([])
    await server.stop()
    expect(left()).toEqual([])
  } finally {
    await server.end()
    rmSync(home, { recursive: true, force: true })
  }
})
