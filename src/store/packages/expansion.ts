import { createInflateRaw, crc32, inflateRawSync } from 'node:zlib'
import type { Entry, ZipFile } from 'yauzl'
import type { PackageLimits } from './limits.ts'
import { PackageError, shorten } from './package-error.ts'

const DEFLATED = 8
/** Entries up to this many bytes are inflated in one call, which is ten times faster than a stream for each. */
const ONE_CALL_BYTES = 1024 * 1024
const STREAM_CHUNK_BYTES = 256 * 1024

/** Counts expanded bytes of one archive against its limits, before they are written. */
export class ExpansionBudget {
  readonly #limits: PackageLimits
  readonly #archiveBytes: number
  #spentBytes = 0

  constructor(archiveBytes: number, limits: PackageLimits) {
    this.#archiveBytes = archiveBytes
    this.#limits = limits
  }

  get spentBytes(): number {
    return this.#spentBytes
  }

  /** @throws {PackageError} `too-large` or `suspicious-ratio` when these bytes would go past a limit. */
  spend(byteCount: number): void {
    this.#spentBytes += byteCount
    const { expandedBytes, ratio, ratioFloorBytes } = this.#limits
    if (this.#spentBytes > expandedBytes) {
      throw new PackageError('too-large', { what: 'expanded', limitBytes: expandedBytes })
    }
    if (this.#spentBytes > ratioFloorBytes && this.#spentBytes > ratio * this.#archiveBytes) {
      throw new PackageError('suspicious-ratio', { limit: ratio })
    }
  }
}

/**
 * The content of one entry, chunk by chunk, each chunk already paid for from `budget`.
 *
 * At most the declared size is ever held or yielded; an entry that holds more, or less, or has another CRC-32 than its
 * record says, is an error by the end.
 *
 * @throws {PackageError} `corrupt`, `too-large` or `suspicious-ratio`.
 */
export async function* expandEntry(
  zip: Buffer,
  zipFile: ZipFile,
  entry: Entry,
  entryName: string,
  budget: ExpansionBudget,
): AsyncGenerator<Buffer, void, undefined> {
  const corrupt = (reason: string, cause?: unknown) =>
    new PackageError('corrupt', { reason, entryName: shorten(entryName) }, { cause })
  const data = await entryData(zip, zipFile, entry).catch((error: unknown) => {
    throw corrupt('its data lies outside the archive', error)
  })
  let byteCount = 0
  let checksum = 0
  try {
    for await (const chunk of decode(data, entry)) {
      byteCount += chunk.length
      if (byteCount > entry.uncompressedSize) throw corrupt('more bytes than declared')
      budget.spend(chunk.length)
      checksum = crc32(chunk, checksum)
      yield chunk
    }
  } catch (error) {
    if (isInflateError(error)) throw corrupt('broken deflate data or more bytes than declared', error)
    throw error
  }
  if (byteCount !== entry.uncompressedSize) throw corrupt('fewer bytes than declared')
  if (checksum !== entry.crc32) throw corrupt('CRC-32 mismatch')
}

async function entryData(zip: Buffer, zipFile: ZipFile, entry: Entry): Promise<Buffer> {
  const { fileDataStart } = await zipFile.readLocalFileHeaderPromise(entry, { minimal: true })
  return zip.subarray(fileDataStart, fileDataStart + entry.compressedSize)
}

async function* decode(data: Buffer, entry: Entry): AsyncGenerator<Buffer, void, undefined> {
  if (entry.compressionMethod !== DEFLATED) {
    yield data
  } else if (entry.uncompressedSize <= ONE_CALL_BYTES) {
    yield inflateRawSync(data, { maxOutputLength: Math.max(1, entry.uncompressedSize) })
  } else {
    const inflate = createInflateRaw({ chunkSize: STREAM_CHUNK_BYTES })
    inflate.end(data)
    const chunks: AsyncIterable<Buffer> = inflate
    yield* chunks
  }
}

function isInflateError(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return false
  return error.code.startsWith('Z_') || error.code === 'ERR_BUFFER_TOO_LARGE'
}
