import type { QueryPair } from './query.ts'

/** What the canonical request of the `…-HMAC-SHA256` families is made of. */
export interface CanonicalParts {
  readonly method: string
  /** The path in the scheme's own encoding. */
  readonly path: string
  /** The query in the scheme's own encoding, see {@link canonicalQuery}. */
  readonly query: string
  /** The signed headers, see {@link signedBlock}. */
  readonly block: string
  /** Their names, joined by `;`. */
  readonly signedHeaders: string
  /** The last line: usually the hex SHA-256 of the body. */
  readonly payloadHash: string
}

/**
 * Composes a canonical request. The block of headers ends in a line feed and another follows, so an empty
 * line stands between it and the list of names.
 */
export function canonicalRequest(parts: CanonicalParts): string {
  const { method, path, query, block, signedHeaders, payloadHash } = parts
  return `${method}\n${path}\n${query}\n${block}\n${signedHeaders}\n${payloadHash}`
}

/**
 * Composes a canonical query: the pairs in the order of their decoded keys, joined by `&`. Pairs with the
 * same key keep the order they were sent in.
 *
 * @param render One pair in the scheme's own encoding.
 */
export function canonicalQuery(pairs: readonly QueryPair[], render: (pair: QueryPair) => string): string {
  return pairs
    .toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(render)
    .join('&')
}
