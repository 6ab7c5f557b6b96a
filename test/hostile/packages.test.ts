import { buffer } from 'node:stream/consumers'
import type { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { ZipFile } from 'yazl'
import { renameEntry, zipOf } from '../helpers/zip.ts'
import { describeHostile, type Ground } from './harness.ts'

const READ = `require('fs').readFileSync(__dirname + '/entry', 'latin1')`
const readsBy = (expression: string): string =>
  `exports.handler = async () => { try { return ${expression} } catch (error) { return 'refused ' + error.code } }`
const READS = readsBy(READ)

/** Unix file types in the mode of an entry. */
const LINK = 0o120777
const DEVICE = 0o020666
const SETUID = 0o104755

/** A package whose file `entry` is of a kind that honest packages seldom have. */
async function packageWith(mode: number, content: string, reads = READ): Promise<Buffer> {
  const zip = new ZipFile()
  zip.addBuffer(Buffer.from(readsBy(reads)), 'index.js', { mode: 0o100644 })
  zip.addBuffer(Buffer.from(content), 'entry', { mode })
  zip.end()
  return buffer(zip.outputStream as Readable)
}

/** Unpacked, it is larger than any package may be. */
const bomb = zipOf({ 'index.js': READS, entry: Buffer.alloc(520 * 1024 * 1024) })

let packages = 0

/** What a function of this package reads through its entry, or why it was not deployed. */
async function readThrough(ground: Ground, zip: Buffer): Promise<string> {
  const name = `package-${++packages}`
  try {
    await ground.deployZip(name, zip)
  } catch (error) {
    return `refused ${String(error)}`
  }
  const { text } = await ground.call(name)
  return text
}

describeHostile('a hostile code package', (ground) => {
  test.each([
    '/etc/shadow',
    '/etc/hostname',
    '../../../../../../../etc/hostname',
    '../other',
    'index.js/../../other',
    '/proc/1/environ',
    '/proc/self/root/etc/shadow',
  ])('with a link to %s is refused', async (target) => {
    expect(await readThrough(ground(), await packageWith(LINK, target))).toMatch(/^refused .*400/)
  })

  test('with a link to the data of the server is refused', async () => {
    const target = `${ground().server.dataDir}/anvoke.db`
    expect(await readThrough(ground(), await packageWith(LINK, target))).toMatch(/^refused .*400/)
  })

  test('with a device or a program that takes another id has neither', async () => {
    expect(await readThrough(ground(), await packageWith(DEVICE, 'x'))).toMatch(/^refused .*400/)
    const zip = await packageWith(
      SETUID,
      'x',
      `(require('fs').statSync(__dirname + '/entry').mode & 0o7000).toString(8)`,
    )
    expect(await readThrough(ground(), zip)).toBe('0')
  })

  test.each(['../../planted', '/tmp/planted.', 'a/../../../x'])('with an entry %s is refused', async (to) => {
    const from = 'x'.repeat(to.length)
    const zip = renameEntry(await zipOf({ 'index.js': READS, [from]: 'planted' }), from, to)
    expect(await readThrough(ground(), zip)).toMatch(/^refused .*400/)
  })

  test('with a link and a file below its name writes nowhere else', async () => {
    const zip = new ZipFile()
    zip.addBuffer(Buffer.from(READS), 'index.js', { mode: 0o100644 })
    zip.addBuffer(Buffer.from('/tmp'), 'entry', { mode: LINK })
    zip.addBuffer(Buffer.from('planted'), 'entry/planted-by-a-package', { mode: 0o100644 })
    zip.end()
    const told = await readThrough(ground(), await buffer(zip.outputStream as Readable))
    expect(told).toMatch(/^refused .*400/)
  })

  test('that grows without end is refused', async () => {
    expect(await readThrough(ground(), await bomb)).toMatch(/^refused .*4\d\d/)
  })
})
