import { isJsonObject } from '../../../model/json.ts'
import { formatIamTime } from './auth-tokens.ts'
import { IamError } from './errors.ts'
import { identify, member } from './identity.ts'
import type { IamOperation } from './operation.ts'

/** How long temporary keys are good for, seconds. Source: the vendor's page on them: 15 minutes to 24 hours. */
const DEFAULT_DURATION_S = 900
const MAX_DURATION_S = 86_400

/** `POST /v3.0/OS-CREDENTIAL/securitytokens`: temporary keys for whoever has a token, no longer than it is good. */
export const createSecurityToken: IamOperation = (call, rooms) => {
  const identity = member(member(call.body, 'auth'), 'identity')
  // Keys that may do more than was asked for would be worse than none.
  if (identity['policy'] !== undefined && identity['policy'] !== null)
    throw new IamError(400, 'a policy for temporary keys is not supported')
  const { accountId, methods, expiresAtMs = Number.POSITIVE_INFINITY } = identify(identity, call, rooms)
  const [method] = methods
  if (method !== 'token' && method !== 'assume_role')
    throw new IamError(400, 'identity.methods must be token or assume_role')
  const nowMs = rooms.now()
  const ttlMs = Math.min(durationOf(identity[method]) * 1000, expiresAtMs - nowMs)
  const { accessKeyId, accessKeySecret, securityToken, ...issued } = rooms.keyring.issueTemporary(
    { accountId, sessionName: method, ttlMs },
    nowMs,
  )
  return {
    status: 201,
    body: {
      credential: {
        access: accessKeyId,
        secret: accessKeySecret,
        securitytoken: securityToken,
        expires_at: formatIamTime(issued.expiresAtMs),
      },
    },
  }
}

function durationOf(method: unknown): number {
  const value = isJsonObject(method)
    ? (method['duration_seconds'] ?? method['duration-seconds'] ?? DEFAULT_DURATION_S)
    : DEFAULT_DURATION_S
  const seconds = typeof value === 'string' && /^\d{1,6}$/.test(value) ? Number(value) : value
  if (
    typeof seconds !== 'number' ||
    !Number.isInteger(seconds) ||
    seconds < DEFAULT_DURATION_S ||
    seconds > MAX_DURATION_S
  )
    throw new IamError(400, `duration_seconds is not in ${DEFAULT_DURATION_S} - ${MAX_DURATION_S}`)
  return seconds
}
