import { buffer } from 'node:stream/consumers'
import type { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { ZipFile } from 'yazl'
import { renameEntry, zipOf } from '../helpers/zip.ts'
import { describeHostile, type Ground } from './harness.ts'

const READS = `exports.handler = async () => {
  try { return require('fs').readFileSync(__dirname + '/entry', 'latin1') } catch (error) { return 'refused ' + error.code }
}`

/** Unix file types in the mode of an entry. */
const LINK = 0o120777
const DEVICE = 0o020666
const SETUID = 0o104755

/** A package whose file `entry` is of a kind that honest packages seldom have. */
async function packageWith(mode: number, content: string | Buffer): Promise<Buffer> {
  const zip = new ZipFile()
  zip.addBuffer(Buffer.from(READS), 'index.js', { mode: 0o100644 })
  zip.addBuffer(Buffer.from(content as string), 'entry', { mode })
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
    '/proc/1/environ',
    '/proc/self/root/etc/shadow',
  ])('with a link to %s shows nothing of the host', async (target) => {
    const told = await readThrough(ground(), await packageWith(LINK, target))
    expect(told).toMatch(/^(?:refused|function$|\s*$)/)
  })

  test('with a link to the data of the server shows nothing of it', async () => {
    const told = await readThrough(ground(), await packageWith(LINK, `${ground().server.dataDir}/anvoke.db`))
    expect(told).toMatch(/^refused/)
  })

  test('with a device or a program that takes another id has neither', async () => {
    expect(await readThrough(ground(), await packageWith(DEVICE, 'x'))).toMatch(/^(?:refused|x$)/)
    const zip = await zipOf({
      'index.js': `exports.handler = async () => (require('fs').statSync(__dirname + '/entry').mode & 0o7000).toString(8)`,
      entry: 'x',
    })
    expect(await readThrough(ground(), zip)).toBe('0')
    expect(await readThrough(ground(), await packageWith(SETUID, 'x'))).toMatch(/^(?:refused|x$)/)
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
    expect(told).toMatch(/^refused/)
  })

  test('that grows without end is refused', async () => {
    expect(await readThrough(ground(), await bomb)).toMatch(/^refused .*4\d\d/)
  })
})
