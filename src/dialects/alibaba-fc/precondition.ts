import type { Stored } from '../../store/definition-store.ts'
import { FcError } from './errors.ts'
import { etagOf } from './names.ts'
import type { Call } from './operation.ts'

/**
 * Holds a change to the state its caller has seen: `If-Match` in the headers or, as one SDK sends it on deletes,
 * in the query. Call it inside the edit that changes the record, so that nothing comes between.
 *
 * @throws {FcError} PreconditionFailed when a tag was given and none of those given is the record's.
 */
export function requireMatch(call: Pick<Call, 'headers' | 'query'>, record: Stored): void {
  const given = call.headers['if-match'] ?? call.query.get('If-Match') ?? call.query.get('if-match')
  if (given === undefined || given === '') return
  const etag = etagOf(record)
  for (const tag of given.split(',')) {
    const bare = tag.trim().replace(/^(?:W\/)?"(.*)"$/, '$1')
    if (bare === etag || bare === '*') return
  }
  throw new FcError('PreconditionFailed', 'the resource being modified has been changed')
}
