// The part of Huawei Cloud's FunctionGraph API v2 that deploys and calls a function, spoken as its SDKs do, in as few lines
// as it takes: a worked example of the signature.
import { createHash, createHmac } from 'node:crypto'
import { base64ZipOf } from './zip.js'

/** Any project id will do: the account is that of the key. */
const PROJECT_ID = '0123456789abcdef0123456789abcdef'
const FUNCTIONS = `/v2/${PROJECT_ID}/fgs/functions`

export class HuaweiFunctionGraphClient {
  #origin
  #key
  #region

  /** @param key `{ accessKeyId, accessKeySecret }` */
  constructor(origin, key, region) {
    this.#origin = origin
    this.#key = key
    this.#region = region
  }

  /** Creates the function, or gives it this code. `directory` becomes the code package. */
  async deploy(packageName, { functionName, runtime, directory }) {
    const code = {
      code_type: 'zip',
      code_filename: 'index.zip',
      func_code: { file: await base64ZipOf(directory) },
    }
    const settings = { runtime, handler: 'index.handler', memory_size: 128, timeout: 10 }
    const { status } = await this.#send('POST', FUNCTIONS, {
      json: { func_name: functionName, package: packageName, ...settings, ...code },
      accept: [409],
    })
    if (status === 409)
      await this.#send('PUT', `${FUNCTIONS}/${this.#urn(packageName, functionName)}/code`, { json: code })
  }

  /** Calls a function and resolves with its answer and the end of its log. `event` is JSON text. */
  async invoke(packageName, functionName, event) {
    const path = `${FUNCTIONS}/${this.#urn(packageName, functionName)}/invocations`
    const { body } = await this.#send('POST', path, {
      text: event,
      headers: { 'x-cff-log-type': 'tail', 'x-cff-request-version': 'v1' },
    })
    const { result, log, status } = JSON.parse(body)
    return { answer: result, log, error: status === 200 ? null : String(status) }
  }

  #urn(packageName, functionName) {
    return `urn:fss:${this.#region}:${PROJECT_ID}:function:${packageName}:${functionName}:latest`
  }

  async #send(method, path, { json, text = JSON.stringify(json), headers = {}, accept = [] }) {
    const request = { method, headers: this.#sign(method, path, text, headers), body: text }
    const response = await fetch(this.#origin + path, request)
    const body = await response.text()
    if (!response.ok && !accept.includes(response.status))
      throw new Error(`${method} ${path} was answered with ${response.status}: ${body}`)
    return { status: response.status, body }
  }

  /** SDK-HMAC-SHA256 over the method, the path with every segment encoded, no query, the headers, and the body's hash. */
  #sign(method, path, body, headers) {
    const { accessKeyId, accessKeySecret } = this.#key
    const date = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')
    const signed = { 'content-type': 'application/json', ...headers, 'x-sdk-date': date }
    const names = Object.keys(signed).sort()
    const lines = names.map((name) => `${name}:${signed[name]}\n`).join('')
    const canonicalPath = `${path.split('/').map(encodeURIComponent).join('/')}/`
    const request = [method, canonicalPath, '', lines, names.join(';'), sha256(body)].join('\n')
    const signature = createHmac('sha256', accessKeySecret)
      .update(`SDK-HMAC-SHA256\n${date}\n${sha256(request)}`)
      .digest('hex')
    const authorization = `SDK-HMAC-SHA256 Access=${accessKeyId}, SignedHeaders=${names.join(';')}, Signature=${signature}`
    return { ...signed, authorization }
  }
}

function sha256(text) {
  return createHash('sha256').update(text).digest('hex')
}
