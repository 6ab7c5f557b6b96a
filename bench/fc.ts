import { createHmac } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { ZipFile } from 'yazl'
import { contentType } from './workloads.ts'

const apiPrefix = '/2016-08-15'

/** What an FC 2.0 client signs with. */
export interface Credentials {
  readonly accountId: string
  readonly accessKeyId: string
  readonly accessKeySecret: string
}

/** A function to create. */
export interface FunctionSettings {
  readonly functionName: string
  /** Calls one instance may hold at once; default: one. */
  readonly instanceConcurrency?: number
  /** Content of `index.js` or `index.py`, which exports `handler`. */
  readonly source: string
  /** Default: nodejs26. */
  readonly runtime?: 'nodejs26' | 'python3'
  /** What lies beside the source, by path. */
  readonly files?: ReadonlyMap<string, string>
  /** Megabytes; default: 512. */
  readonly memorySize?: number
  /** Seconds; default: 30. */
  readonly timeout?: number
}

/** The part of Alibaba Cloud's FC API 2016-08-15 that the benchmark needs, spoken as its SDKs do. */
export interface FcClient {
  /**
   * Headers that sign a call of one function with {@link contentType}; valid for fifteen minutes.
   *
   * @param invocationType Default: the call is answered when it has ended.
   * @param extra Further headers that begin with `x-fc-`, in lower case.
   */
  invokeHeaders(
    service: string,
    functionName: string,
    invocationType?: 'Async',
    extra?: Readonly<Record<string, string>>,
  ): Record<string, string>
  /** The URL that such a call goes to. */
  invokeUrl(service: string, functionName: string): string
  createService(service: string): Promise<void>
  createFunction(service: string, settings: FunctionSettings): Promise<void>
  deleteFunction(service: string, functionName: string): Promise<void>
  /** Says how often asynchronous calls of a function that failed are repeated. */
  limitAsyncRetries(service: string, functionName: string, retries: number): Promise<void>
  /** Calls a function; throws unless the function itself returned normally. */
  invoke(service: string, functionName: string, event: Uint8Array<ArrayBuffer>): Promise<Buffer>
}

/**
 * The headers of one signed request: HMAC-SHA256 over method, content type, date, `x-fc-` headers and path
 * (scheme "FC"; the query is not signed, and a missing Content-MD5 is an empty line).
 */
export function sign(
  credentials: Credentials,
  request: {
    readonly method: string
    readonly path: string
    readonly contentType: string
    /** Further headers that begin with `x-fc-`, in lower case. */
    readonly fcHeaders?: Readonly<Record<string, string>>
  },
  date = new Date(),
): Record<string, string> {
  const dateText = date.toUTCString()
  const fcHeaders = { 'x-fc-account-id': credentials.accountId, ...request.fcHeaders }
  const stringToSign = [
    request.method,
    '',
    request.contentType,
    dateText,
    ...Object.entries(fcHeaders)
      .map(([name, value]) => `${name}:${value}`)
      .sort(),
    request.path,
  ].join('\n')
  const signature = createHmac('sha256', credentials.accessKeySecret).update(stringToSign).digest('base64')
  return {
    'Content-Type': request.contentType,
    Date: dateText,
    ...fcHeaders,
    Authorization: `FC ${credentials.accessKeyId}:${signature}`,
  }
}

/** A client for the server at the given origin (`http://host:port`). */
export function createFcClient(origin: string, credentials: Credentials): FcClient {
  const functionPath = (service: string, name: string) => `${apiPrefix}/services/${service}/functions/${name}`
  const invokePath = (service: string, name: string) => `${functionPath(service, name)}/invocations`

  async function call(method: string, path: string, type: string, body?: string | Uint8Array<ArrayBuffer>) {
    const headers = sign(credentials, { method, path, contentType: type })
    const response = await fetch(origin + path, { method, headers, ...(body === undefined ? {} : { body }) })
    const answer = Buffer.from(await response.arrayBuffer())
    const functionError = response.headers.get('x-fc-error-type')
    if (!response.ok || functionError !== null) {
      const words = `${response.status} ${functionError ?? ''} ${answer.toString('utf8', 0, 500)}`
      throw new Error(`${method} ${path}: ${words}`)
    }
    return answer
  }
  const callJson = async (method: string, path: string, body?: unknown) => {
    await call(method, path, 'application/json', body === undefined ? undefined : JSON.stringify(body))
  }

  return {
    invokeHeaders: (service, name, type, extra) =>
      sign(credentials, {
        method: 'POST',
        path: invokePath(service, name),
        contentType,
        fcHeaders: { ...(type === undefined ? {} : { 'x-fc-invocation-type': type }), ...extra },
      }),
    invokeUrl: (service, name) => origin + invokePath(service, name),
    createService: (service) => callJson('POST', `${apiPrefix}/services`, { serviceName: service }),
    async createFunction(service, { source, runtime = 'nodejs26', files, ...settings }) {
      const entry = runtime === 'python3' ? 'index.py' : 'index.js'
      const zipFile = (await zip(new Map([[entry, source], ...(files ?? [])]))).toString('base64')
      await callJson('POST', `${apiPrefix}/services/${service}/functions`, {
        memorySize: 512,
        timeout: 30,
        ...settings,
        runtime,
        handler: 'index.handler',
        code: { zipFile },
      })
    },
    deleteFunction: (service, name) => callJson('DELETE', functionPath(service, name)),
    limitAsyncRetries: (service, name, retries) =>
      callJson('PUT', `${functionPath(service, name)}/async-invoke-config`, {
        maxAsyncRetryAttempts: retries,
      }),
    invoke: (service, name, event) => call('POST', invokePath(service, name), contentType, event),
  }
}

async function zip(contents: ReadonlyMap<string, string>): Promise<Buffer> {
  const file = new ZipFile()
  for (const [name, content] of contents) file.addBuffer(Buffer.from(content), name)
  file.end()
  return await buffer(file.outputStream)
}
