import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readSync, rmSync, watch, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { closeTicketFile, makeTicketFile } from '../../src/engine/ticket-file.ts'
import { memoryBackedDir } from '../../src/sandbox/server-directory.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(memoryBackedDir(), 'anvoke-tickets-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

test('a ticket file never has a name, so that a server killed while it makes one leaves nothing', async () => {
  const changed = Promise.withResolvers<string | null>()
  using watcher = Object.assign(
    watch(dir, (_, name) => changed.resolve(name)),
    { [Symbol.dispose]: () => watcher.close() },
  )
  const file = makeTicketFile(dir)
  writeFileSync(join(dir, 'the first that has a name'), '')
  expect(await changed.promise).toBe('the first that has a name')
  closeTicketFile(file)
})

test('what is written to one end of a ticket file is read from the other, and neither can give it a name', () => {
  const file = makeTicketFile(dir)
  writeSync(file.writeFd, 'abc')
  const read = Buffer.alloc(8)
  expect(read.toString('latin1', 0, readSync(file.readFd, read, 0, 8, null))).toBe('abc')
  for (const fd of [file.readFd, file.writeFd])
    expect(spawnSync('ln', ['-L', `/proc/${process.pid}/fd/${fd}`, join(dir, 'name')]).status).toBe(1)
  expect(readdirSync(dir)).toEqual([])
  closeTicketFile(file)
})

/** Message queues are files of a file system that has none without a name. */
const MOUNTED = ['-c', 'mount -t mqueue none "$1" && shift && exec "$@"', 'sh']
const asRoot = ['--user', '--map-root-user', '--mount', '--ipc', '/bin/sh']
const canMount = spawnSync('unshare', [...asRoot, ...MOUNTED, '/mnt', '/bin/true']).status === 0

// Needs a mount namespace of its own, for the file system.
test.runIf(canMount)('where files without a name cannot be had, it loses its name before it is used', () => {
  const program = `
    import { readdirSync } from 'node:fs'
    import { makeTicketFile } from ${JSON.stringify(join(import.meta.dirname, '../../src/engine/ticket-file.ts'))}
    const { readFd, writeFd } = makeTicketFile(${JSON.stringify(dir)})
    console.log(JSON.stringify([readFd > 2, writeFd > 2, readdirSync(${JSON.stringify(dir)})]))`
  const node = [process.execPath, '--input-type=module-typescript', '--eval', program]
  expect(execFileSync('unshare', [...asRoot, ...MOUNTED, dir, ...node], { encoding: 'utf8' }).trim()).toBe(
    '[true,true,[]]',
  )
  expect(readdirSync(dir)).toEqual([])
})
