import { createSecretKey } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { StreamedBody } from '../../src/http/exchange.ts'
import { CodeLinks, MAX_DOWNLOADS } from '../../src/intake/code-link.ts'
import { PackageStore } from '../../src/store/packages/packages.ts'
import { zipOf } from '../helpers/zip.ts'

const key = createSecretKey(Buffer.alloc(32, 1))

let dir: string
let packages: PackageStore
let zip: Buffer
let digest: string
let nowMs = 0
let links: CodeLinks
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'anvoke-links-'))
  packages = await PackageStore.open({ dir })
  zip = await zipOf({ 'index.js': '' })
  digest = (await packages.put(zip)).digest
  links = new CodeLinks({ key, packages, now: () => nowMs })
})
afterAll(async () => {
  await packages.close()
  await rm(dir, { recursive: true })
})

const follow = (link: string): Promise<StreamedBody> => {
  const { pathname, search } = new URL(link)
  return links.open(pathname, search.slice(1))
}

test('a link leads to the archive byte for byte, for ten minutes', async () => {
  nowMs = 1000
  const link = links.link('http://a', digest)
  nowMs = 600_999
  const { stream, sizeBytes } = await follow(link)
  expect(sizeBytes).toBe(zip.length)
  expect(await buffer(stream)).toEqual(zip)
  nowMs = 601_000
  await expect(follow(link)).rejects.toMatchObject({ code: 'expired' })
})

test('a link that was altered, or made with another key, leads nowhere', async () => {
  const link = links.link('http://a', digest)
  const other = new CodeLinks({ key: createSecretKey(Buffer.alloc(32, 2)), packages, now: () => nowMs })
  for (const altered of [
    link.replace(/expires=\d+/, 'expires=99999999999'),
    link.replace(digest, 'f'.repeat(64)),
    link.replace(/signature=.*/, ''),
    other.link('http://a', digest),
  ])
    await expect(follow(altered)).rejects.toMatchObject({ code: 'not-genuine' })
})

test('a genuine link to a package that is gone says so, and takes no download away', async () => {
  const gone = links.link('http://a', 'f'.repeat(64))
  for (let count = 0; count <= MAX_DOWNLOADS; count += 1)
    await expect(follow(gone)).rejects.toMatchObject({ code: 'not-found' })
})

test('of downloads only so many are open at once, and each ends with its stream', async () => {
  const open = (): Promise<StreamedBody> => follow(links.link('http://a', digest))
  const first = await open()
  const bodies = [first]
  while (bodies.length < MAX_DOWNLOADS) bodies.push(await open())
  await expect(open()).rejects.toMatchObject({ code: 'too-many', details: { limit: MAX_DOWNLOADS } })
  const closed = once(first.stream, 'close')
  first.stream.destroy()
  await closed
  bodies.push(await open())
  await expect(open()).rejects.toMatchObject({ code: 'too-many' })
  for (const { stream } of bodies.slice(1)) {
    const ended = once(stream, 'close')
    stream.destroy()
    await ended
  }
})
