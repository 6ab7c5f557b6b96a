import { createHmac } from 'node:crypto'
import { KeyRing, type StaticCredential } from '../../../src/auth/keyring.ts'
import type { SignedRequest } from '../../../src/dialects/alibaba-fc/auth.ts'

export const ACCOUNT = '1234567890123456'
export const DATE = 'Mon, 06 May 2024 07:08:09 GMT'
export const CLOCK_MS = Date.parse(DATE)

/** A ring of one key, `id` with secret `secret` unless told otherwise. */
export function keyringOf(credential: Partial<StaticCredential> = {}): KeyRing {
  const defaults = { accessKeyId: 'id', accessKeySecret: 'secret', accountId: ACCOUNT }
  return new KeyRing([{ ...defaults, ...credential }], Buffer.alloc(32, 7))
}

/** The FC Authorization header over a string to sign, made here and not by the code under test. */
export function signFc(stringToSign: string, accessKeyId = 'id', secret = 'secret'): string {
  return `FC ${accessKeyId}:${createHmac('sha256', secret).update(stringToSign).digest('base64')}`
}

/** A signed GET of the services; headers given replace those it has, and are not signed. */
export function fcRequest(
  changes: { rawPath?: string; headers?: Record<string, string | undefined> } = {},
): SignedRequest {
  const authorization = signFc(`GET\n\n\n${DATE}\n/2016-08-15/services`)
  return {
    method: 'GET',
    rawPath: changes.rawPath ?? '/2016-08-15/services',
    rawQuery: '',
    headers: { date: DATE, authorization, ...changes.headers },
  }
}
