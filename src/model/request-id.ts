import { randomFillSync } from 'node:crypto'

/** Random bytes of one id. */
const RANDOM_BYTES = 10
/** Drawn at once: each draw costs much more than its bytes. */
const pool = Buffer.alloc(RANDOM_BYTES * 1024)
const HEX = Buffer.from('0123456789abcdef')
/** Where the two digits of each random byte go; those of the first and the third are partly taken by version and variant. */
const PLACES = [14, 16, 19, 21, 24, 26, 28, 30, 32, 34] as const
const VERSION_AT = 14
const VARIANT_AT = 19

/** The id that was given last: of the next one of the same millisecond only the random digits are other ones. */
const text = Buffer.from('00000000-0000-7000-8000-000000000000')
let textMs = 0
let used = pool.length

/**
 * An id for one request: a UUID of version 7 (RFC 9562), whose first 48 bits are the time and the others random. Ids of one time lie
 * beside each other: with entirely random ones, each asynchronous call that is accepted would change another page of the index they are
 * found by, the more so the more calls wait.
 *
 * @param nowMs Epoch milliseconds.
 */
export function newRequestId(nowMs = Date.now()): string {
  if (nowMs !== textMs) writeTime(nowMs)
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  for (const at of PLACES) {
    const byte = pool[used] ?? 0
    used += 1
    text[at] = HEX[byte >> 4] ?? 0
    text[at + 1] = HEX[byte & 15] ?? 0
  }
  text[VERSION_AT] = HEX[7] ?? 0
  text[VARIANT_AT] = HEX[8 + ((text[VARIANT_AT] ?? 0) & 3)] ?? 0
  return text.toString('latin1')
}

function writeTime(nowMs: number): void {
  const digits = nowMs.toString(16).padStart(12, '0')
  text.write(`${digits.slice(0, 8)}-${digits.slice(8)}`, 'latin1')
  textMs = nowMs
}
