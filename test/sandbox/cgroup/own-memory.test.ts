import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ownMemory, type MemoryRoom } from '../../../src/sandbox/cgroup/own-memory.ts'
import { CgroupTree } from '../../../src/sandbox/cgroup/tree.ts'
import { memoryRooms, shareLeft } from '../../../src/sandbox/prestarted/memory-room.ts'

const MIB = 1024 * 1024
const tree = await CgroupTree.open()
await tree.close()

describe('the memory that is left to the server', () => {
  let dir: string
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'anvoke-memory-'))
  })
  afterEach(() => rmSync(dir, { recursive: true }))

  /** Writes files as the kernel would show them. */
  function show(path: string, files: Record<string, string>): string {
    const place = join(dir, path)
    mkdirSync(place, { recursive: true })
    for (const [name, text] of Object.entries(files)) writeFileSync(join(place, name), text)
    return place
  }

  const v2 = (ownDir: string) => [{ version: 2, controllers: [], mountPoint: dir, ownDir }] as const

  test('is that of the host and that of every limit around it, whichever group has it', async () => {
    show('', {
      'memory.max': '1000\n',
      'memory.current': '900\n',
      'memory.stat': 'anon 1\nactive_file 300\n',
    })
    show('service', { 'memory.max': 'max\n', 'memory.high': '500\n', 'memory.current': '400\n' })
    const own = show('service/server', { 'memory.max': 'max\n', 'memory.current': '400\n' })
    expect(await ownMemory(v2(own))).toEqual([
      { totalBytes: 500, availableBytes: 100 },
      { totalBytes: 1000, availableBytes: 400 },
    ])
  })

  test('is told by v1 in files of its own, by the hierarchy of memory alone', async () => {
    const stat = 'inactive_file 7\ntotal_inactive_file 100\ntotal_active_file 50\n'
    const files = { 'memory.limit_in_bytes': '1000\n', 'memory.usage_in_bytes': '600\n', 'memory.stat': stat }
    const place = { version: 1, mountPoint: dir, ownDir: show('container', files) } as const
    expect(await ownMemory([{ ...place, controllers: ['memory'] }])).toEqual([
      { totalBytes: 1000, availableBytes: 550 },
    ])
    expect(await ownMemory([{ ...place, controllers: ['cpu'] }])).toEqual([])
  })

  test('is unknown where nothing limits it', async () => {
    expect(await ownMemory(v2(show('free', { 'memory.max': 'max\n', 'memory.current': '5\n' })))).toEqual([])
  })

  test('is short as soon as it is short in one place', () => {
    const rooms = [
      { totalBytes: 1000, availableBytes: 900 },
      { totalBytes: 100, availableBytes: 40 },
    ]
    expect([0, 10, 50].map((wantedBytes) => shareLeft(rooms, wantedBytes))).toEqual([0.4, 0.3, 0])
    expect(shareLeft([], 10)).toBe(1)
  })

  test('is that of this host', async () => {
    const [host] = await memoryRooms()
    expect(host?.totalBytes).toBeGreaterThan(64 * MIB)
    expect(host?.availableBytes).toBeLessThanOrEqual(host?.totalBytes ?? 0)
  })

  // Where the kernel does not limit memory, there is no limit to find.
  test.runIf(tree.finding.controllers.has('memory'))('is what a real limit leaves', async () => {
    const limited = await CgroupTree.open()
    const group = limited.create({ memoryBytes: 512 * MIB, tasks: 64, cpuWeight: 100 })
    await group?.ready
    const module = fileURLToPath(new URL('../../../src/sandbox/prestarted/memory-room.ts', import.meta.url))
    const program = `
      const { memoryRooms } = await import(process.argv[1])
      console.log(JSON.stringify(await memoryRooms()))
      const held = Buffer.alloc(200 * ${MIB}, 1)
      console.log(JSON.stringify(await memoryRooms()), held.length)`
    const enter =
      'while [ "$1" != -- ]; do echo 0 > "$1" || exit 1; shift; done; shift; exec "$@" < /dev/null'
    const command = [process.execPath, '--input-type=module', '-e', program, module]
    const child = spawn('/bin/sh', ['-c', enter, 'sh', ...(group?.entries ?? []), '--', ...command], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = once(child, 'exit')
    const availableMib: number[] = []
    for await (const line of createInterface(child.stdout)) {
      const rooms: MemoryRoom[] = JSON.parse(line.slice(0, line.lastIndexOf(']') + 1))
      const room = rooms.find(({ totalBytes }) => totalBytes === 512 * MIB)
      if (room !== undefined) availableMib.push(room.availableBytes / MIB)
    }
    expect(await ended).toEqual([0, null])
    await limited.close()
    const [before = 0, after = 0] = availableMib
    expect(before).toBeGreaterThan(350)
    expect(before).toBeLessThan(512)
    expect(before - after).toBeGreaterThan(190)
    expect(before - after).toBeLessThan(260)
  })
})
