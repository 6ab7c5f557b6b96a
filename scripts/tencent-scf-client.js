// The part of Tencent Cloud's SCF APIs that deploys and calls a function, spoken as its SDKs do, in as few lines as it takes: a
// worked example of both signatures, TC3-HMAC-SHA256 of API 3.0 and HmacSHA256 of the legacy API 2.0.
import { createHash, createHmac, randomInt } from 'node:crypto'
import { base64ZipOf } from './zip.js'

const LEGACY_PATH = '/v2/index.php'

export class TencentScfClient {
  #origin
  #key

  /** @param key `{ accessKeyId, accessKeySecret }` */
  constructor(origin, key) {
    this.#origin = origin
    this.#key = key
  }

  /** Creates the function, or gives it this code. `directory` becomes the code package. */
  async deploy(namespace, { functionName, runtime, directory }) {
    const name = { Namespace: namespace, FunctionName: functionName }
    const zipFile = await base64ZipOf(directory)
    const settings = { Runtime: runtime, Handler: 'index.main_handler', MemorySize: 128, Timeout: 10 }
    const { Error: error } = await this.#call('CreateFunction', {
      ...name,
      ...settings,
      Code: { ZipFile: zipFile },
    })
    if (error === undefined) return
    if (!error.Code.startsWith('ResourceInUse')) throw new Error(`${error.Code}: ${error.Message}`)
    const { Error: refusal } = await this.#call('UpdateFunctionCode', { ...name, ZipFile: zipFile })
    if (refusal !== undefined) throw new Error(`${refusal.Code}: ${refusal.Message}`)
  }

  /** Calls a function and resolves with its answer and the end of its log. `event` is JSON text. */
  async invoke(namespace, functionName, event) {
    const request = {
      Namespace: namespace,
      FunctionName: functionName,
      ClientContext: event,
      LogType: 'Tail',
    }
    const { Error: error, Result: result } = await this.#call('Invoke', request)
    if (error !== undefined) throw new Error(`${error.Code}: ${error.Message}`)
    const failed = result.InvokeResult !== 0
    return {
      answer: failed ? result.ErrMsg : result.RetMsg,
      log: result.Log,
      error: failed ? String(result.InvokeResult) : null,
    }
  }

  /** The same through the legacy API. */
  async invokeLegacy(namespace, functionName, event) {
    const parameters = this.#signLegacy({
      Action: 'InvokeFunction',
      Region: 'gz',
      namespace,
      functionName,
      param: event,
      logType: 'Tail',
    })
    const response = await fetch(this.#origin + LEGACY_PATH, {
      method: 'POST',
      body: new URLSearchParams(parameters),
    })
    const { code, message, data } = await response.json()
    if (code !== 0) throw new Error(`${code}: ${message}`)
    const failed = data.errMsg !== ''
    return { answer: failed ? data.errMsg : data.retMsg, log: data.log, error: failed ? 'errMsg' : null }
  }

  async #call(action, request) {
    const body = JSON.stringify(request)
    const response = await fetch(this.#origin, { method: 'POST', headers: this.#sign(action, body), body })
    const text = await response.text()
    if (!response.ok) throw new Error(`${action} was answered with ${response.status}: ${text}`)
    return JSON.parse(text).Response
  }

  /** TC3-HMAC-SHA256 over the method, the path, content type and host, and the body's hash. */
  #sign(action, body) {
    const { accessKeyId, accessKeySecret } = this.#key
    const { host } = new URL(this.#origin)
    const timestamp = String(Math.floor(Date.now() / 1000))
    const date = new Date().toISOString().slice(0, 10)
    const type = 'application/json'
    const request = `POST\n/\n\ncontent-type:${type}\nhost:${host}\n\ncontent-type;host\n${sha256(body)}`
    const scope = `${date}/scf/tc3_request`
    const key = [date, 'scf', 'tc3_request'].reduce(
      (previous, part) => createHmac('sha256', previous).update(part).digest(),
      `TC3${accessKeySecret}`,
    )
    const signature = createHmac('sha256', key)
      .update(`TC3-HMAC-SHA256\n${timestamp}\n${scope}\n${sha256(request)}`)
      .digest('hex')
    return {
      'content-type': type,
      'x-tc-action': action,
      'x-tc-version': '2018-04-16',
      'x-tc-timestamp': timestamp,
      'x-tc-region': 'ap-guangzhou',
      authorization: `TC3-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=content-type;host, Signature=${signature}`,
    }
  }

  /** HmacSHA256 over the method, the host and path, and all parameters in order. */
  #signLegacy(given) {
    const { accessKeyId, accessKeySecret } = this.#key
    const parameters = {
      ...given,
      SecretId: accessKeyId,
      SignatureMethod: 'HmacSHA256',
      Timestamp: String(Math.floor(Date.now() / 1000)),
      Nonce: String(randomInt(1, 2 ** 31)),
    }
    const pairs = Object.keys(parameters)
      .sort()
      .map((name) => `${name}=${parameters[name]}`)
    const text = `POST${new URL(this.#origin).host}${LEGACY_PATH}?${pairs.join('&')}`
    return { ...parameters, Signature: createHmac('sha256', accessKeySecret).update(text).digest('base64') }
  }
}

function sha256(text) {
  return createHash('sha256').update(text).digest('hex')
}
