import { crc32, deflateRawSync } from 'node:zlib'
import { ZipFile } from 'yazl'

/** One entry of a hand-made archive. What is not given is what an honest archiver on Unix would write. */
export interface RawEntry {
  name: string | Buffer
  data?: Buffer
  /** Stored unless 8; other numbers write the data as it is under that method. */
  method?: number
  /** Unix mode with its type bits. */
  mode?: number
  /** "Version made by" host: 3 Unix, 0 DOS. */
  host?: number
  flags?: number
  declaredSize?: number
  declaredCrc32?: number
  dataOffset?: number
}

export const REGULAR = 0o100644
export const EXECUTABLE = 0o100755
export const LINK = 0o120777

/** Writes an archive byte by byte, lies included. `entryCount` overrides the count, `zip64` lets it pass 65 535. */
export function rawZip(
  entries: readonly RawEntry[],
  options: { entryCount?: number; zip64?: boolean } = {},
): Buffer {
  const locals: Buffer[] = []
  const centrals: Buffer[] = []
  let offset = 0
  for (const entry of entries) {
    const name = typeof entry.name === 'string' ? Buffer.from(entry.name) : entry.name
    const data = entry.data ?? Buffer.alloc(0)
    const method = entry.method ?? 0
    const content = method === 8 ? deflateRawSync(data) : data
    const flags = entry.flags ?? 0x800
    const shared = Buffer.alloc(26)
    shared.writeUInt16LE(20, 0)
    shared.writeUInt16LE(flags, 2)
    shared.writeUInt16LE(method, 4)
    shared.writeUInt32LE(entry.declaredCrc32 ?? crc32(data), 10)
    shared.writeUInt32LE(content.length, 14)
    shared.writeUInt32LE(entry.declaredSize ?? data.length, 18)
    shared.writeUInt16LE(name.length, 22)
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), shared, name, content])
    const made = Buffer.from([30, entry.host ?? 3])
    const tail = Buffer.alloc(14)
    tail.writeUInt32LE(((entry.mode ?? REGULAR) << 16) >>> 0, 6)
    tail.writeUInt32LE(entry.dataOffset ?? offset, 10)
    centrals.push(Buffer.concat([Buffer.from('PK\x01\x02'), made, shared, tail, name]))
    locals.push(local)
    offset += local.length
  }
  const central = Buffer.concat(centrals)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06')
  const entryCount = options.entryCount ?? entries.length
  end.writeUInt16LE(entryCount & 0xffff, 8)
  end.writeUInt16LE(entryCount & 0xffff, 10)
  end.writeUInt32LE(central.length, 12)
  end.writeUInt32LE(offset, 16)
  const zip64 = options.zip64 === true ? zip64End(entryCount, central.length, offset) : Buffer.alloc(0)
  return Buffer.concat([...locals, central, zip64, end])
}

function zip64End(entryCount: number, centralBytes: number, centralOffset: number): Buffer {
  const record = Buffer.alloc(56 + 20)
  record.write('PK\x06\x06')
  record.writeBigUInt64LE(44n, 4)
  for (const at of [24, 32]) record.writeBigUInt64LE(BigInt(entryCount), at)
  record.writeBigUInt64LE(BigInt(centralBytes), 40)
  record.writeBigUInt64LE(BigInt(centralOffset), 48)
  record.write('PK\x06\x07', 56)
  record.writeBigUInt64LE(BigInt(centralOffset + centralBytes), 64)
  record.writeUInt32LE(1, 72)
  return record
}

/** A real archive as an honest tool makes it: path → content, or content with a mode. */
export async function honestZip(
  files: Record<string, string | Buffer | { data: string | Buffer; mode: number }>,
): Promise<Buffer> {
  const zip = new ZipFile()
  for (const [path, file] of Object.entries(files)) {
    const { data, mode } =
      typeof file === 'string' || Buffer.isBuffer(file) ? { data: file, mode: REGULAR } : file
    const bytes = typeof data === 'string' ? Buffer.from(data) : data
    if (path.endsWith('/')) zip.addEmptyDirectory(path)
    else zip.addBuffer(bytes, path, { mode, mtime: new Date(0) })
  }
  zip.end()
  const chunks: Buffer[] = []
  for await (const chunk of zip.outputStream) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}
