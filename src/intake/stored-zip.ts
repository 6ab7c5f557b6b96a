import { crc32 } from 'node:zlib'

/** One file of an archive: its path with `/` between the parts, and its bytes. */
export interface StoredFile {
  readonly path: string
  readonly content: Buffer
}

const LOCAL_HEADER = 0x04034b50
const CENTRAL_HEADER = 0x02014b50
const END_OF_DIRECTORY = 0x06054b50
/** Version 2.0 of the format, of Unix, so that permissions count. */
const MADE_BY = 0x0314
const NEEDED_VERSION = 20
/** Names are UTF-8. */
const FLAGS = 0x0800
/** 1 January 1980, the first day the format knows: the same files make the same bytes. */
const DATE = 0x0021
const REGULAR_FILE = 0o100644

/**
 * A zip archive of files as they are, uncompressed, whose bytes depend on nothing but them. Together they must be
 * shorter than 4 GiB and fewer than 65 536, as the format has it without its 64-bit extension.
 */
export function storedZip(files: readonly StoredFile[]): Buffer {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const { path, content } of files) {
    const name = Buffer.from(path)
    const entry = Buffer.alloc(26)
    for (const [at, value] of [NEEDED_VERSION, FLAGS, 0, 0, DATE].entries())
      entry.writeUInt16LE(value, at * 2)
    entry.writeUInt32LE(crc32(content), 10)
    entry.writeUInt32LE(content.length, 14)
    entry.writeUInt32LE(content.length, 18)
    entry.writeUInt16LE(name.length, 22)
    const rest = Buffer.alloc(14)
    rest.writeUInt32LE(REGULAR_FILE * 0x10000, 6)
    rest.writeUInt32LE(offset, 10)
    directory.push(uint32(CENTRAL_HEADER), uint16(MADE_BY), entry, rest, name)
    parts.push(uint32(LOCAL_HEADER), entry, name, content)
    offset += 30 + name.length + content.length
  }
  const central = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(END_OF_DIRECTORY, 0)
  end.writeUInt16LE(files.length, 8)
  end.writeUInt16LE(files.length, 10)
  end.writeUInt32LE(central.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...parts, central, end])
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16LE(value)
  return bytes
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
