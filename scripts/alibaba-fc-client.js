// The part of Alibaba Cloud's FC API 2016-08-15 that deploys and calls a function, spoken as its SDKs do, in as few
// lines as it takes: a worked example of the signature.
import { createHmac } from 'node:crypto'
import { base64ZipOf } from './zip.js'

const API = '/2016-08-15'

export class AlibabaFcClient {
  #origin
  #key

  /** @param key `{ accountId, accessKeyId, accessKeySecret }` */
  constructor(origin, key) {
    this.#origin = origin
    this.#key = key
  }

  /** Creates the function, or gives it this code and these settings. `directory` becomes the code package. */
  async deploy(serviceName, { functionName, directory, ...settings }) {
    await this.#send('POST', `${API}/services`, { json: { serviceName }, accept: [409] })
    const functions = `${API}/services/${serviceName}/functions`
    const json = { handler: 'index.handler', memorySize: 128, timeout: 10, ...settings }
    json.code = { zipFile: await base64ZipOf(directory) }
    const created = await this.#send('POST', functions, { json: { functionName, ...json }, accept: [409] })
    if (created.status === 409) await this.#send('PUT', `${functions}/${functionName}`, { json })
  }

  /** Calls a function and resolves with its answer and the end of its log. */
  async invoke(serviceName, functionName, event) {
    const { body, headers } = await this.#send('POST', invocationPath(serviceName, functionName), {
      bytes: event,
      headers: { 'x-fc-log-type': 'Tail' },
    })
    const log = Buffer.from(headers.get('x-fc-log-result') ?? '', 'base64').toString()
    return { answer: body, log, error: headers.get('x-fc-error-type') }
  }

  async #send(method, path, { json, bytes, headers = {}, accept = [] }) {
    const type = json === undefined ? 'application/octet-stream' : 'application/json'
    const request = { method, headers: this.#sign(method, path, type, headers) }
    request.body = json === undefined ? bytes : JSON.stringify(json)
    const response = await fetch(this.#origin + path, request)
    const body = await response.text()
    if (!response.ok && !accept.includes(response.status)) {
      throw new Error(`${method} ${path} was answered with ${response.status}: ${body}`)
    }
    return { status: response.status, headers: response.headers, body }
  }

  /** HMAC-SHA256 over method, content MD5 (none), content type, date, the x-fc- headers in order, and the path. */
  #sign(method, path, type, headers) {
    const { accountId, accessKeyId, accessKeySecret } = this.#key
    const date = new Date().toUTCString()
    const signed = { 'x-fc-account-id': accountId, ...headers }
    const lines = Object.keys(signed)
      .sort()
      .map((name) => `${name}:${signed[name]}`)
    const text = [method, '', type, date, ...lines, path].join('\n')
    const signature = createHmac('sha256', accessKeySecret).update(text).digest('base64')
    return { ...signed, date, 'content-type': type, authorization: `FC ${accessKeyId}:${signature}` }
  }
}

export function invocationPath(serviceName, functionName) {
  return `${API}/services/${serviceName}/functions/${functionName}/invocations`
}
