import { sha256Hex } from '../auth/digest.ts'
import type { Payload } from '../model/payload.ts'
import { PARSED_BODY_BYTES } from './large-body.ts'
import { sha256HexInSlices, type Turns } from './slices.ts'

/**
 * The lower-case hex SHA-256 of a body of any size: a large one waits for its turn and is hashed in slices.
 *
 * @param turns Where large bodies wait for each other; one per dialect.
 */
export function bodySha256({ chunks, byteLength }: Payload, turns: Turns): string | Promise<string> {
  return byteLength > PARSED_BODY_BYTES ? turns.run(() => sha256HexInSlices(chunks)) : sha256Hex(chunks)
}
