import { timingSafeEqual } from 'node:crypto'

/**
 * Whether two texts are equal, in a time that tells nothing about where they differ.
 *
 * Only the lengths may leak; the lengths of signatures are public.
 */
export function constantTimeEqual(a: string, b: string): boolean {
  const left = Buffer.from(a)
  const right = Buffer.from(b)
  return left.length === right.length && timingSafeEqual(left, right)
}
