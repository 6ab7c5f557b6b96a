import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ServerDirectory } from '../../src/sandbox/server-directory.ts'
import { eventually } from './harness.ts'

let parent: string
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'anvoke-parent-'))
})
afterEach(() => rmSync(parent, { recursive: true }))

const namespace = /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? ''

test('a server directory is open to nobody else and gone after its removal', async () => {
  const directory = new ServerDirectory(parent)
  expect(statSync(directory.path).mode & 0o777).toBe(0o700)
  writeFileSync(join(directory.path, 'file'), '')
  await directory.remove()
  expect(readdirSync(parent)).toEqual([])
})

test('what a dead server left is removed by the next one, and nothing else is', async () => {
  const living = new ServerDirectory(parent)
  const kept = [
    basename(living.path),
    // Of another pid namespace, and of another program.
    'anvoke-1-1-1-abcdef',
    'anvoke-cache',
  ]
  for (const name of kept.slice(1)) mkdirSync(join(parent, name))
  // A pid that does not exist, and one that now belongs to another process.
  const stale = [`anvoke-${namespace}-4194999-1-abcdef`, `anvoke-${namespace}-${process.pid}-1-abcdef`]
  for (const name of stale) {
    mkdirSync(join(parent, name))
    writeFileSync(join(parent, name, 'file'), '')
  }
  writeFileSync(join(parent, `anvoke-${namespace}-4194999-2-abcdef`), '')
  const next = new ServerDirectory(parent)
  const expected = [...kept, basename(next.path)].sort()
  await eventually(() => readdirSync(parent).length === expected.length)
  expect(readdirSync(parent).sort()).toEqual(expected)
})
