import { createHmac } from 'node:crypto'
import { request, type ClientRequest, type IncomingMessage } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { KEY_ID, KEY_SECRET, type TestServer } from './server.ts'

/** A request that no SDK sends, signed by hand as the 2016-08-15 clients do. */
export interface FcRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** With the query, which is not signed. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly keyId?: string
  readonly secret?: string
  readonly date?: Date
}

export interface FcResponse {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly bytes: Buffer
}

/** `FC {id}:{base64 HMAC-SHA256 of the string to sign}` and the headers it covers. */
export function signedHeaders(wanted: FcRequest): Record<string, string> {
  const headers: Record<string, string> = {
    ...wanted.headers,
    date: (wanted.date ?? new Date()).toUTCString(),
  }
  const own = Object.keys(headers)
    .filter((name) => name.startsWith('x-fc-'))
    .sort()
    .map((name) => `${name}:${headers[name]}\n`)
  const [path] = wanted.path.split('?')
  const toSign = `${wanted.method}\n\n${headers['content-type'] ?? ''}\n${headers['date']}\n${own.join('')}${path}`
  const signature = createHmac('sha256', wanted.secret ?? KEY_SECRET)
    .update(toSign)
    .digest('base64')
  return { ...headers, authorization: `FC ${wanted.keyId ?? KEY_ID}:${signature}` }
}

/** Opens a signed request on a connection of its own; the caller writes the body and ends it. */
export function openRequest(server: TestServer, wanted: FcRequest): ClientRequest {
  return request(`${server.origin}${wanted.path}`, {
    method: wanted.method,
    headers: signedHeaders(wanted),
    agent: false,
  })
}

/** Sends a signed request and reads the whole answer. */
export async function send(
  server: TestServer,
  wanted: FcRequest,
  body: Buffer | string = '',
): Promise<FcResponse> {
  const open = openRequest(server, wanted)
  const answered = answerOf(open)
  open.end(body)
  return answered
}

/** What a request is answered with, body and all. */
export async function answerOf(open: ClientRequest): Promise<FcResponse> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    open.once('response', resolve)
    open.once('error', reject)
  })
  return { status: response.statusCode ?? 0, headers: response.headers, bytes: await buffer(response) }
}
