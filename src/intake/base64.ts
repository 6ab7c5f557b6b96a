import { IntakeError } from './intake-error.ts'
import { inSlices } from './slices.ts'

/** A buffer so long always has room for what it and the at most four characters carried into it decode to. */
const ROOMY_BYTES = 16
/** The start of an escape that the next piece completes. */
const CUT_ESCAPE = /\\(?:u[0-9a-fA-F]{0,3})?$/
const ESCAPE = /\\(?:\/|u00([0-9a-fA-F]{2}))/g

/** Node skips what is not base64; here it must come out at the length its text promises. @throws {IntakeError} `not-base64` */
export function decodeBase64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length !== decodedLength(text)) throw notBase64()
  return bytes
}

/**
 * Decodes the inside of a JSON string that holds base64, escapes as some clients write them included (`\/`, `\u003d`).
 *
 * The result takes the place of the text: `chunks` are overwritten and kept by what is returned, so a body costs no
 * more memory than it had when it came. Waits between slices.
 *
 * @throws {IntakeError} `not-base64`
 */
export async function decodeBase64InPlace(chunks: readonly Buffer[]): Promise<readonly Buffer[]> {
  const decoded: Buffer[] = []
  let open = ''
  let carried = ''
  for await (const slice of inSlices(chunks)) {
    let text = open + slice.toString('latin1')
    open = ''
    if (text.includes('\\')) {
      open = CUT_ESCAPE.exec(text.slice(-5))?.[0] ?? ''
      text = unescape(text.slice(0, text.length - open.length))
    }
    text = carried + text
    carried = text.slice(text.length - (text.length % 4))
    if (carried !== '') text = text.slice(0, -carried.length)
    // A quartet with padding is the last: it is held back, so that padding anywhere else is noticed.
    if (text.endsWith('=')) {
      carried = text.slice(-4) + carried
      text = text.slice(0, -4)
    }
    if (carried.length > 4) throw notBase64()
    const room = slice.length < ROOMY_BYTES ? Buffer.alloc(ROOMY_BYTES) : slice
    const length = room.write(text, 'base64')
    if (length !== (text.length / 4) * 3) throw notBase64()
    if (length > 0) decoded.push(room.subarray(0, length))
  }
  if (open !== '') throw notBase64()
  if (carried !== '') decoded.push(decodeBase64(carried))
  return decoded
}

function unescape(text: string): string {
  const plain = text.replaceAll(ESCAPE, (_, code?: string) =>
    code === undefined ? '/' : String.fromCharCode(Number.parseInt(code, 16)),
  )
  // A backslash that is left, or that an escape stood for, is no character of base64.
  if (plain.includes('\\')) throw notBase64()
  return plain
}

function decodedLength(text: string): number {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  return Math.floor(((text.length - padding) * 3) / 4)
}

function notBase64(): IntakeError {
  return new IntakeError('not-base64', {})
}
