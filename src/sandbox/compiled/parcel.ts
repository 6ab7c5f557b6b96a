import type { Readable } from 'node:stream'

/** A file that a compiling process made. */
export interface ParcelFile {
  /** Relative, of plain names: nothing in it leads upwards. */
  readonly path: string
  readonly bytes: Buffer
}

/** What the process sent is not what it was asked for. Its message is for the operator. */
export class UnusableParcel extends Error {}

const LONGEST_PATH = 4096
const LENGTHS_BYTES = 8

/**
 * Reads what a compiling process sends, which may be anything. The form: for each file the lengths of path and content (two unsigned
 * 32-bit numbers, big-endian), path, content; in the end a file with an empty path and no content.
 *
 * @param limits.bytes Of everything, lengths included.
 * @throws {UnusableParcel} It is too long, ends too early, or holds a path that is not plain.
 */
export async function readParcel(
  stream: Readable,
  limits: { readonly bytes: number },
): Promise<readonly ParcelFile[]> {
  const chunks: Buffer[] = []
  let left = limits.bytes
  for await (const chunk of stream) {
    if (!Buffer.isBuffer(chunk)) throw new UnusableParcel('it is not made of bytes')
    left -= chunk.length
    if (left < 0) throw new UnusableParcel(`it is larger than ${limits.bytes} bytes`)
    chunks.push(chunk)
  }
  return parseParcel(Buffer.concat(chunks))
}

function parseParcel(parcel: Buffer): readonly ParcelFile[] {
  const files: ParcelFile[] = []
  for (let at = 0; ;) {
    if (parcel.length < at + LENGTHS_BYTES) throw new UnusableParcel('it is not whole')
    const pathEnd = at + LENGTHS_BYTES + parcel.readUInt32BE(at)
    const end = pathEnd + parcel.readUInt32BE(at + 4)
    if (parcel.length < end) throw new UnusableParcel('it is not whole')
    const path = parcel.toString('utf8', at + LENGTHS_BYTES, pathEnd)
    if (path === '') return files
    if (!isPlain(path)) throw new UnusableParcel('it holds a path that leads elsewhere')
    files.push({ path, bytes: parcel.subarray(pathEnd, end) })
    at = end
  }
}

function isPlain(path: string): boolean {
  const names = path.split('/')
  return (
    path.length <= LONGEST_PATH &&
    !path.includes('\0') &&
    names.every((name) => name !== '' && name !== '.' && name !== '..')
  )
}
