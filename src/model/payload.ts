import { utf8Cut } from './utf8.ts'

/**
 * Bytes on their way through: an event, a result, a download.
 *
 * A payload is a list of the chunks it arrived in, so that passing it on costs no copy. It is never
 * parsed or changed; whoever needs one contiguous buffer asks {@link toBuffer} and pays for it there.
 */
export interface Payload {
  readonly byteLength: number
  readonly chunks: readonly Buffer[]
}

export const EMPTY_PAYLOAD: Payload = Object.freeze({ byteLength: 0, chunks: Object.freeze([]) })

/** Wraps bytes or UTF-8 text. No copy is made of a Buffer. */
export function payloadOf(content: Buffer | string): Payload {
  const buffer = typeof content === 'string' ? Buffer.from(content) : content
  return { byteLength: buffer.length, chunks: [buffer] }
}

/** The payload as one Buffer: no copy when it already is one chunk. */
export function toBuffer(payload: Payload): Buffer {
  const [first] = payload.chunks
  return payload.chunks.length === 1 && first !== undefined
    ? first
    : Buffer.concat(payload.chunks, payload.byteLength)
}

/** The first bytes of a payload as text, at most `maxBytes`, cut between characters. Reads no more than it returns. */
export function payloadBeginning(payload: Payload, maxBytes: number): string {
  if (payload.byteLength <= maxBytes) return toBuffer(payload).toString()
  const chunks: Buffer[] = []
  let bytes = 0
  for (const chunk of payload.chunks) {
    if (bytes > maxBytes) break
    const part = chunk.subarray(0, maxBytes + 1 - bytes)
    chunks.push(part)
    bytes += part.length
  }
  const beginning = Buffer.concat(chunks)
  return beginning.toString('utf8', 0, utf8Cut(beginning, maxBytes))
}
