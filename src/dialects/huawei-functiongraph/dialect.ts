import type { KeyObject } from 'node:crypto'
import type { KeyRing } from '../../auth/keyring.ts'
import { Turns } from '../../intake/slices.ts'
import { newRequestId } from '../../model/request-id.ts'
import type { Dialect } from '../dialect.ts'
import { hasOwnScheme } from './auth.ts'
import { dispatch, type DispatchRooms } from './dispatch.ts'
import { Tokens } from './iam/tokens.ts'
import type { IamRooms } from './iam/operation.ts'
import { DIALECT, type Rooms } from './operation.ts'
import { failureReply, refusalFailure } from './replies.ts'
import { isDialectPath } from './routes.ts'

export interface HuaweiFunctionGraphDeps extends Rooms {
  readonly keyring: KeyRing
  /** Secret that tokens are made with, at least 32 bytes. A new one ends the tokens given out. */
  readonly tokenKey: KeyObject
  /** The configured access keys: who may get a token with a password. */
  readonly users: IamRooms['users']
  /** The listener's port, once it has one. Default: unknown. */
  readonly ownPort?: () => number | undefined
  /** Told of failures that are this server's own. Must not throw. */
  readonly observe?: (error: unknown) => void
}

/**
 * The dialect of FunctionGraph v2, and of as much identity and access management as its clients need.
 *
 * It claims requests signed with the vendor's scheme, those that carry one of its tokens, and its paths.
 */
export function createHuaweiFunctionGraph(deps: HuaweiFunctionGraphDeps): Dialect {
  const { observe = () => undefined, ownPort = () => undefined, keyring, tokenKey } = deps
  const rooms: DispatchRooms = {
    ...deps,
    observe,
    ownPort,
    tokens: new Tokens(tokenKey, keyring),
    largeBodies: new Turns(),
  }
  return {
    name: DIALECT,
    claims: ({ rawPath, headers }) => {
      // The older API of another vendor lies between this one's paths.
      if (rawPath === '/v2/index.php') return undefined
      if (hasOwnScheme(headers.authorization)) return 'scheme'
      if (headers['x-auth-token'] !== undefined || headers['x-subject-token'] !== undefined) return 'action'
      return isDialectPath(rawPath) ? 'path' : undefined
    },
    handle: (exchange) => dispatch(exchange, rooms),
    refuse: (refusal) => failureReply(refusalFailure(refusal), newRequestId()),
  }
}
