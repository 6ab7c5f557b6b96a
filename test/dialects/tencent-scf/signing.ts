import { createHash, createHmac } from 'node:crypto'

export const ACCOUNT = '1234567890123456'
export const SECRET_ID = 'AKIDtestSecretId'
export const SECRET_KEY = 'testSecretKey'
export const CLOCK_MS = Date.parse('2026-11-21T10:00:00Z')
export const VERSION = '2018-04-16'

/** Signatures are made here and not by the code under test. */
const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex')
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()

export interface Tc3Request {
  readonly method: 'GET' | 'POST'
  readonly query?: string
  /** Lower-case names; `host` and `content-type` are there. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  readonly signedHeaders?: readonly string[]
  readonly service?: string
  /** Of the scope. Default: the day of the timestamp. */
  readonly date?: string
  readonly secretKey?: string
  readonly secretId?: string
}

/** The Authorization header of a request by the TC3 scheme. */
export function signTc3(request: Tc3Request): string {
  const { method, query = '', headers, body, service = 'scf' } = request
  const { signedHeaders = ['content-type', 'host'], secretId = SECRET_ID, secretKey = SECRET_KEY } = request
  const timestamp = headers['x-tc-timestamp'] ?? ''
  const { date = new Date(Number(timestamp) * 1000).toISOString().slice(0, 10) } = request
  const block = signedHeaders.map((name) => `${name}:${headers[name] ?? ''}\n`).join('')
  const names = signedHeaders.join(';')
  const canonical = `${method}\n/\n${method === 'GET' ? query : ''}\n${block}\n${names}\n${sha256(body)}`
  const scope = `${date}/${service}/tc3_request`
  const toSign = `TC3-HMAC-SHA256\n${timestamp}\n${scope}\n${sha256(canonical)}`
  const key = hmac(hmac(hmac(`TC3${secretKey}`, date), service), 'tc3_request')
  const signature = hmac(key, toSign).toString('hex')
  return `TC3-HMAC-SHA256 Credential=${secretId}/${scope}, SignedHeaders=${names}, Signature=${signature}`
}

/** Adds the signature to parameters that are signed as such, sorted, with raw values. */
export function signParameters(
  method: 'GET' | 'POST',
  path: string,
  parameters: Readonly<Record<string, string>>,
  host: string,
  algorithm: 'sha1' | 'sha256' = 'sha1',
): Record<string, string> {
  const text = Object.keys(parameters)
    .sort()
    .map((key) => `${key}=${parameters[key]}`)
    .join('&')
  const signature = createHmac(algorithm, SECRET_KEY)
    .update(`${method}${host}${path}?${text}`)
    .digest('base64')
  return { ...parameters, Signature: signature }
}

/** Objects and lists as dotted names, the way the clients send them in forms. */
export function flatten(value: unknown, prefix = ''): Record<string, string> {
  if (typeof value !== 'object' || value === null)
    return prefix === '' ? {} : { [prefix]: typeof value === 'string' ? value : JSON.stringify(value) }
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, member]) =>
      Object.entries(flatten(member, prefix === '' ? name : `${prefix}.${name}`)),
    ),
  )
}
