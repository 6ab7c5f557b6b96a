import { createHash, createHmac } from 'node:crypto'

export const KEY_ID = 'testAccessKeyId'
export const SECRET = 'testAccessKeySecret'

export interface SigningInput {
  readonly method: string
  /** As it goes on the wire, without the query. */
  readonly rawPath: string
  readonly rawQuery?: string
  /** Lower-case names. Every one of them is signed. */
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Buffer | string
  readonly accessKeyId?: string
  readonly secret?: string
}

/** `20240102T030405Z` */
export function sdkDate(epochMs: number): string {
  return new Date(epochMs).toISOString().replaceAll(/[-:]|\.\d{3}/g, '')
}

/** The vendor's signature, made here and not by the code under test. `x-sdk-date` must be among the headers. */
export function signSdk(input: SigningInput): string {
  const { method, rawPath, rawQuery = '', headers, body = '' } = input
  const names = Object.keys(headers).sort()
  const path = rawPath
    .split('/')
    .map((segment) => encode(decodeURIComponent(segment)))
    .join('/')
  const query = rawQuery
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair): [string, string] => {
      const [key = '', value = ''] = pair.split('=').map((part) => decodeURIComponent(part))
      return [key, value]
    })
    .sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : 1))
    .map(([key, value]) => `${encode(key)}=${encode(value)}`)
    .join('&')
  const canonical = [
    method,
    path.endsWith('/') ? path : `${path}/`,
    query,
    ...names.map((name) => `${name}:${headers[name]?.trim()}`),
    '',
    names.join(';'),
    headers['x-sdk-content-sha256'] ?? createHash('sha256').update(body).digest('hex'),
  ].join('\n')
  const toSign = `SDK-HMAC-SHA256\n${headers['x-sdk-date']}\n${createHash('sha256').update(canonical).digest('hex')}`
  const signature = createHmac('sha256', input.secret ?? SECRET)
    .update(toSign)
    .digest('hex')
  return `SDK-HMAC-SHA256 Access=${input.accessKeyId ?? KEY_ID}, SignedHeaders=${names.join(';')}, Signature=${signature}`
}

function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
