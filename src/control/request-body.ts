import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { isJsonObject, parsedJson } from '../model/json.ts'
import { ControlError } from './errors.ts'

/** Longest body of a request, bytes. */
const MAX_BODY_BYTES = 64 * 1024

/**
 * The JSON object that a request's body is; no bytes are an empty one.
 *
 * @throws {ControlError} `caller/body-too-large` at the first byte over the limit, `caller/not-json`, `caller/malformed`
 */
export async function readBody(request: IncomingMessage): Promise<object> {
  const declared = Number(request.headers['content-length'] ?? 0)
  if (declared > MAX_BODY_BYTES) throw tooLarge()
  const bytes = await gather(request)
  if (bytes.length === 0) return {}
  const [type = ''] = (request.headers['content-type'] ?? '').split(';')
  if (type.trim().toLowerCase() !== 'application/json')
    throw new ControlError('caller/not-json', 'bodies here are application/json, and say so')
  const value = isUtf8(bytes) ? parsedJson(bytes.toString('utf8')) : undefined
  if (!isJsonObject(value)) throw new ControlError('caller/malformed', 'the body is no JSON object')
  return value
}

/** Leaves a body that is too long where it is, without ending its connection: the answer goes that way. */
function gather(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let byteLength = 0
    request.on('data', (chunk: Buffer) => {
      byteLength += chunk.length
      if (byteLength > MAX_BODY_BYTES) {
        request.pause().removeAllListeners('data')
        reject(tooLarge())
      } else chunks.push(chunk)
    })
    request.once('end', () => resolve(Buffer.concat(chunks)))
    const giveUp = (): void => reject(new ControlError('caller/time-out', 'the body did not come whole'))
    request.once('error', giveUp).once('close', giveUp)
  })
}

function tooLarge(): ControlError {
  return new ControlError('caller/body-too-large', `a body has at most ${MAX_BODY_BYTES} bytes`)
}
