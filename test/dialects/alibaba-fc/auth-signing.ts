import { createHash, createHmac } from 'node:crypto'
import { KeyRing, type StaticCredential } from '../../../src/auth/keyring.ts'
import type { SignedRequest } from '../../../src/dialects/alibaba-fc/auth.ts'

export const ACCOUNT = '1234567890123456'
export const DATE = 'Mon, 06 May 2024 07:08:09 GMT'
export const ISO_DATE = '2024-05-06T07:08:09Z'
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

/**
 * A POST signed with a header-list scheme.
 *
 * @param parts.path The canonical path, for a `rawPath` that is spelled otherwise; `query` likewise.
 */
export function acsRequest(
  version: 'ACS3' | 'ACS4',
  parts: { rawPath: string; rawQuery: string; path: string; query: string; extra?: string },
): SignedRequest {
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
  const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()
  const headers: Record<string, string> = {
    host: 'localhost:7400',
    'x-acs-content-sha256': sha256(''),
    'x-acs-date': ISO_DATE,
    'x-acs-extra': parts.extra ?? 'extra',
  }
  const names = Object.keys(headers).join(';')
  const block = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`)
  const canonical = `POST\n${parts.path}\n${parts.query}\n${block.join('')}\n${names}\n${sha256('')}`
  const scopes = version === 'ACS3' ? [] : ['20240506', 'center', 'FC', 'aliyun_v4_request']
  let key: string | Buffer = version === 'ACS3' ? 'secret' : 'aliyun_v4secret'
  for (const scope of scopes) key = hmac(key, scope)
  const signature = hmac(key, `${version}-HMAC-SHA256\n${sha256(canonical)}`).toString('hex')
  const credential = ['id', ...scopes].join('/')
  const authorization = `${version}-HMAC-SHA256 Credential=${credential},SignedHeaders=${names},Signature=${signature}`
  return {
    method: 'POST',
    rawPath: parts.rawPath,
    rawQuery: parts.rawQuery,
    headers: { ...headers, authorization },
  }
}
