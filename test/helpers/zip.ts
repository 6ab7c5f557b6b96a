import { buffer } from 'node:stream/consumers'
import type { Readable } from 'node:stream'
import { ZipFile } from 'yazl'

const EPOCH = new Date('2020-01-01T00:00:00Z')

/** A zip archive of files by their paths; the same files make the same bytes. */
export function zipOf(files: Readonly<Record<string, string | Buffer>>): Promise<Buffer> {
  const zip = new ZipFile()
  for (const [path, content] of Object.entries(files))
    zip.addBuffer(Buffer.from(content as string), path, { mtime: EPOCH, mode: 0o100644 })
  zip.end()
  return buffer(zip.outputStream as Readable)
}

/** Renames an entry in the bytes of an archive to a name of the same length that no honest writer would take. */
export function renameEntry(zip: Buffer, from: string, to: string): Buffer {
  if (from.length !== to.length) throw new RangeError('both names must have the same length')
  return Buffer.from(zip.toString('latin1').replaceAll(from, to), 'latin1')
}

/** CRC-64/XZ bit by bit, from its definition: slow, and independent of the code under test. */
export function crc64Of(bytes: Buffer): string {
  const MASK = 0xffffffffffffffffn
  const REFLECTED_POLYNOMIAL = 0xc96c5795d7870f42n
  let crc = MASK
  for (const byte of bytes) {
    crc ^= BigInt(byte)
    for (let bit = 0; bit < 8; bit += 1)
      crc = (crc & 1n) === 1n ? (crc >> 1n) ^ REFLECTED_POLYNOMIAL : crc >> 1n
  }
  return String(crc ^ MASK)
}
