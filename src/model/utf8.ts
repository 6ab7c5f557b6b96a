import { isUtf8 } from 'node:buffer'

/** Bytes of a UTF-8 character after its first. */
const MAX_FOLLOWING = 3

/**
 * The largest length up to `bytes` at which UTF-8 text can be cut without cutting a character. What is no UTF-8 is cut at
 * `bytes`.
 */
export function utf8Cut(text: Uint8Array, bytes: number): number {
  if (bytes >= text.length) return text.length
  for (let back = 0; back <= MAX_FOLLOWING && back <= bytes; back += 1) {
    const first = text[bytes - back]
    if (first !== undefined && (first & 0xc0) !== 0x80) return bytes - back
  }
  return bytes
}

/** The end of a text that was cut off at its front: what is left there of a character that was cut through is left out. */
export function utf8End(tail: Buffer): string {
  let start = 0
  while (start < MAX_FOLLOWING && ((tail[start] ?? 0) & 0xc0) === 0x80) start += 1
  return tail.toString('utf8', start)
}

/** Bytes as a text in JSON can carry them: UTF-8 as it is, anything else in base64. */
export function utf8OrBase64(bytes: Buffer): string {
  return bytes.toString(isUtf8(bytes) ? 'utf8' : 'base64')
}
