import { randomUUID } from 'node:crypto'

/**
 * An id for one request: a UUID of version 7 (RFC 9562), whose first 48 bits are the time and the others random. Ids of one time lie
 * beside each other: with entirely random ones, each asynchronous call that is accepted would change another page of the index they are
 * found by, the more so the more calls wait.
 *
 * @param nowMs Epoch milliseconds.
 */
export function newRequestId(nowMs = Date.now()): string {
  const time = nowMs.toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`
}
