import { execFile, spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const SERVICE = fileURLToPath(new URL('./service-on-full-disk.ts', import.meta.url))
const KILLED_STORE = fileURLToPath(new URL('./store-killed-on-full-disk.ts', import.meta.url))
/** Room for the database, and for little more. */
const DISK_MIB = 6

/** A mount namespace of its own: the file system is there for the program alone, and goes with it. */
const UNSHARE = ['--user', '--map-root-user', '--mount', 'sh', '-c']
const MOUNT = `mount -t tmpfs -o size=${DISK_MIB}m tmpfs "$1"`

/** Why no small file system can be mounted here; empty when one can. */
function whyNoDisk(dir: string): string {
  const { error, status, stderr } = spawnSync('unshare', [...UNSHARE, MOUNT, 'sh', dir], { encoding: 'utf8' })
  if (error !== undefined) return 'there is no unshare'
  return status === 0 ? '' : `no file system can be mounted here: ${stderr.trim()}`
}

test('a full disk refuses calls and nothing else: what runs is settled when there is room, and all that was accepted is kept', async (context) => {
  const dir = await mkdtemp(join(tmpdir(), 'anvoke-full-'))
  try {
    const missing = whyNoDisk(dir)
    context.skip(missing !== '', missing)
    const script = `${MOUNT} && exec "$2" "$3" "$1"`
    const command = [...UNSHARE, script, 'sh', dir, process.execPath, SERVICE]
    const { stdout } = await promisify(execFile)('unshare', command, {
      timeout: 30_000,
      killSignal: 'SIGKILL',
    })
    const report = JSON.parse(stdout) as Readonly<Record<string, unknown>>
    expect(report).toEqual({
      full: 'ENOSPC',
      refusals: Array.from({ length: 3 }, () => 'platform/store-full'),
      // Looking works, and nothing is said that is not so.
      statusWhenFull: ['running', 'running', 'running'],
      waitingForRoom: ['running', 'running', 'running'],
      settled: ['succeeded', 'succeeded', 'succeeded'],
      afterwards: 'accepted',
      failures: [],
      runs: [1, 1, 1],
      acceptedMeanwhile: expect.any(Number),
      lost: [],
      invented: [],
      resultBytes: [100_000, 100_000, 100_000],
      audit: { imbalance: 0, miscounted: 0, strayPayloads: 0 },
    })
  } finally {
    await rm(dir, { recursive: true })
  }
}, 60_000)

test('a store that was killed on a full disk opens: it can be looked at, and what was leased runs again when there is room', async (context) => {
  const dir = await mkdtemp(join(tmpdir(), 'anvoke-full-'))
  try {
    const missing = whyNoDisk(dir)
    context.skip(missing !== '', missing)
    const script = `${MOUNT} && exec "$2" "$3" "$1"`
    const command = [...UNSHARE, script, 'sh', dir, process.execPath, KILLED_STORE]
    const { stdout } = await promisify(execFile)('unshare', command, {
      timeout: 30_000,
      killSignal: 'SIGKILL',
    })
    const sound = { imbalance: 0, miscounted: 0, strayPayloads: 0 }
    expect(JSON.parse(stdout)).toEqual({
      whenFull: {
        status: 'running',
        claim: 'platform/store-full',
        deliveries: 'platform/store-full',
        enqueue: 'platform/store-full',
        audit: sound,
      },
      withRoom: {
        claim: [{ requestId: 'running', lostRuns: 1 }],
        // Its lease is of this process, and stays.
        again: [],
        stopped: 'cancelled',
        audit: sound,
      },
      failures: [],
    })
  } finally {
    await rm(dir, { recursive: true })
  }
}, 60_000)
