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
