import { createHash, createHmac, createSecretKey, hash, type KeyObject } from 'node:crypto'

export type DigestAlgorithm = 'sha1' | 'sha256'

/** The lower-case hex SHA-256 of a UTF-8 text. */
export function sha256HexOfText(text: string): string {
  return hash('sha256', text)
}

/** The lower-case hex SHA-256 of bytes that arrive in chunks. No copy is made. */
export function sha256Hex(chunks: Iterable<Uint8Array>): string {
  const digest = createHash('sha256')
  for (const chunk of chunks) digest.update(chunk)
  return digest.digest('hex')
}

/**
 * A secret as a key for {@link hmac}.
 *
 * Made once per secret: with the same secret passed as bytes every time, an HMAC costs about six times as
 * much. A scheme that derives its key from the secret itself reads it back with `export()`.
 */
export function signingKey(secret: string | Uint8Array): KeyObject {
  return createSecretKey(typeof secret === 'string' ? Buffer.from(secret) : secret)
}

/** The HMAC of a UTF-8 text, encoded as a signature travels. */
export function hmac(
  algorithm: DigestAlgorithm,
  key: KeyObject | Uint8Array,
  text: string,
  encoding: 'base64' | 'base64url' | 'hex',
): string {
  return createHmac(algorithm, key).update(text).digest(encoding)
}

/**
 * Derives a scoped key: each step's HMAC-SHA256 is the key of the next.
 *
 * @param initialKey The first step's key, usually a vendor's prefix followed by the secret.
 * @param scopes The texts of the steps, in order: date, region, service, a terminator.
 */
export function deriveKey(initialKey: Buffer, scopes: readonly string[]): Buffer {
  let key = initialKey
  for (const scope of scopes) key = createHmac('sha256', key).update(scope).digest()
  return key
}
