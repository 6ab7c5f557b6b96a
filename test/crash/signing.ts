import { createHash, createHmac } from 'node:crypto'

/** What requests are signed with. */
export interface Key {
  readonly id: string
  readonly secret: string
}

export interface Unsigned {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

type Headers = Record<string, string>

/** Function Compute, API 2016-08-15: HMAC-SHA256 over method, content type, date, `x-fc-` headers and path; not the query. */
export function signFc(key: Key, { method, path, headers = {} }: Unsigned): Headers {
  const date = new Date().toUTCString()
  const type = 'application/json'
  const own = Object.keys(headers)
    .filter((name) => name.startsWith('x-fc-'))
    .sort()
    .map((name) => `${name}:${headers[name]}`)
  const toSign = [method, '', type, date, ...own, path].join('\n')
  const signature = hmac(key.secret, toSign).toString('base64')
  return { ...headers, date, 'content-type': type, authorization: `FC ${key.id}:${signature}` }
}

/** FunctionGraph: SDK-HMAC-SHA256 over method, path with every segment encoded, query in order, headers, and the body's hash. */
export function signFunctionGraph(key: Key, { method, path, query = {}, body = '' }: Unsigned): Headers {
  const date = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const { block, names } = headerBlock({ 'content-type': 'application/json', 'x-sdk-date': date })
  const canonicalPath = `${path.split('/').map(encodeURIComponent).join('/')}/`
  const request = [method, canonicalPath, queryText(query), block, names, sha256(body)].join('\n')
  const signature = hmac(key.secret, `SDK-HMAC-SHA256\n${date}\n${sha256(request)}`).toString('hex')
  const authorization = `SDK-HMAC-SHA256 Access=${key.id}, SignedHeaders=${names}, Signature=${signature}`
  return { 'content-type': 'application/json', 'x-sdk-date': date, authorization }
}

/** SCF, API 3.0: TC3-HMAC-SHA256 over content type, host, and the body's hash. */
export function signScf(key: Key, host: string, action: string, body: string): Headers {
  const now = new Date()
  const timestamp = String(Math.floor(now.getTime() / 1000))
  const date = now.toISOString().slice(0, 10)
  const scope = `${date}/scf/tc3_request`
  const { block, names } = headerBlock({ 'content-type': 'application/json', host })
  const request = ['POST', '/', '', block, names, sha256(body)].join('\n')
  const derived = [date, 'scf', 'tc3_request'].reduce<string | Buffer>(hmac, `TC3${key.secret}`)
  const text = `TC3-HMAC-SHA256\n${timestamp}\n${scope}\n${sha256(request)}`
  const signature = hmac(derived, text).toString('hex')
  return {
    'content-type': 'application/json',
    'x-tc-action': action,
    'x-tc-version': '2018-04-16',
    'x-tc-timestamp': timestamp,
    'x-tc-region': 'ap-guangzhou',
    authorization: `TC3-HMAC-SHA256 Credential=${key.id}/${scope}, SignedHeaders=${names}, Signature=${signature}`,
  }
}

/** A query in the order of its names, encoded. */
export function queryText(query: Readonly<Record<string, string>>): string {
  return Object.keys(query)
    .sort()
    .map((name) => `${encodeURIComponent(name)}=${encodeURIComponent(query[name] ?? '')}`)
    .join('&')
}

function headerBlock(headers: Readonly<Headers>): { readonly block: string; readonly names: string } {
  const names = Object.keys(headers).sort()
  return { block: names.map((name) => `${name}:${headers[name]}\n`).join(''), names: names.join(';') }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
