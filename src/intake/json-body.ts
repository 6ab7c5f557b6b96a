import { isUtf8 } from 'node:buffer'
import { isJsonObject, parsedJson, type JsonObject } from '../model/json.ts'
import { toBuffer, type Payload } from '../model/payload.ts'
import { decodeBase64InPlace } from './base64.ts'
import { IntakeError } from './intake-error.ts'
import { cutMember, PARSED_BODY_BYTES } from './large-body.ts'
import type { Turns } from './slices.ts'

/** A request body, and what was too large in it to be parsed. */
export interface JsonBody {
  readonly body: JsonObject
  /**
   * Decodes the base64 of the member that was cut out of a large body; in `body` it is an empty text then. May be called
   * once.
   *
   * @throws {IntakeError} `not-base64`
   */
  readonly takeCut?: () => Promise<readonly Buffer[]>
}

/**
 * Reads a JSON body of any size that the listener let through: a short one is parsed, a long one may hold one large
 * base64 text, which is cut out first. Absent and `null` bodies are empty objects.
 *
 * @param turns Where large bodies wait for each other; one per dialect.
 * @param paths Where the large text may be, as {@link cutMember} takes them.
 * @throws {IntakeError} `not-utf8`, `not-json`, `not-an-object`; of a long body also what {@link cutMember} throws
 */
export async function readJsonBody(
  payload: Payload,
  turns: Turns,
  paths: readonly string[],
  options: { readonly anyCase?: boolean } = {},
): Promise<JsonBody> {
  if (payload.byteLength <= PARSED_BODY_BYTES) return { body: parseJsonObject(toBuffer(payload)) }
  const { rest, cut = [] } = await turns.run(() => cutMember(payload.chunks, paths, options))
  const body = parseJsonObject(rest)
  return cut.length === 0 ? { body } : { body, takeCut: () => turns.run(() => decodeBase64InPlace(cut)) }
}

/** Parses a JSON object; no bytes and `null` are an empty one. @throws {IntakeError} as {@link readJsonBody} */
export function parseJsonObject(bytes: Buffer): JsonObject {
  if (bytes.length === 0) return {}
  if (!isUtf8(bytes)) throw new IntakeError('not-utf8', {})
  const value = parsedJson(bytes.toString('utf8'))
  if (value === undefined) throw new IntakeError('not-json', {})
  if (value === null) return {}
  if (!isJsonObject(value)) throw new IntakeError('not-an-object', {})
  return value
}
