import { createHash, createHmac, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Credentials } from './fc.ts'
import type { Load, Target } from './load.ts'
import type { RunningAnvoke } from './systems/anvoke.ts'
import { contentType, type Workload } from './workloads.ts'

/** A way to call one and the same function: one of the vendors' APIs, signed as its clients sign. */
export interface Entrance {
  readonly name: string
  /** A fresh signature for each run. */
  prepare(): { readonly target: Target; readonly load: Load }
}

/** Requests of one run of the API that refuses repeats: more than a run can send. */
const ONCE_SIGNED_REQUESTS = 60_000
const PROJECT_ID = '0123456789abcdef0123456789abcdef'

/** Every API of the server, calling the function with the workload's event. */
export function createEntrances(
  server: RunningAnvoke,
  functionName: string,
  workload: Workload,
  directory: string,
): readonly Entrance[] {
  const { origin, service, credentials } = server
  const host = new URL(origin).host
  const event = workload.body.toString()
  const result = workload.expected.toString()
  // One API takes no request twice, so its bodies come from a list. All of them do: what that costs the load generator, it costs for each.
  const asLine: Load = {
    bodyFile: workload.bodyFile,
    bodies: 'one per line',
    expectedFile: workload.expectedFile,
  }
  const withBody = (name: string, body: string): Load => {
    const bodyFile = join(directory, `${name}.request`)
    writeFileSync(bodyFile, body)
    // Answers in an envelope hold the result as text, beside figures that differ from call to call.
    return { bodyFile, bodies: 'one per line', expectedPart: JSON.stringify(result) }
  }
  const post = (path: string, headers: Readonly<Record<string, string>>): Target => ({
    url: origin + path,
    headers,
  })

  return [
    {
      name: 'Alibaba FC 2016-08-15',
      prepare: () => ({
        target: {
          url: server.client.invokeUrl(service, functionName),
          headers: server.client.invokeHeaders(service, functionName),
        },
        load: asLine,
      }),
    },
    {
      name: 'Alibaba FC 2021-04-06',
      prepare() {
        const path = `/2021-04-06/services/${service}/functions/${functionName}/invocations`
        return { target: post(path, signAcs3(credentials, host, path, event)), load: asLine }
      },
    },
    {
      name: 'Huawei FunctionGraph v2',
      prepare() {
        const urn = `urn:fss:local:${PROJECT_ID}:function:${service}:${functionName}:latest`
        const path = `/v2/${PROJECT_ID}/fgs/functions/${urn}/invocations`
        return { target: post(path, signSdkHmac(credentials, path, event)), load: asLine }
      },
    },
    {
      name: 'Tencent SCF 3.0',
      prepare() {
        const body = JSON.stringify({
          Namespace: service,
          FunctionName: functionName,
          ClientContext: event,
        })
        return {
          target: post('/', signTc3(credentials, host, 'Invoke', body)),
          load: withBody('scf-3.0', body),
        }
      },
    },
    {
      name: 'Tencent SCF 2.0',
      prepare() {
        const parameters = {
          Action: 'InvokeFunction',
          Region: 'gz',
          functionName,
          namespace: service,
          param: event,
        }
        const bodies = Array.from({ length: ONCE_SIGNED_REQUESTS }, (_, nonce) =>
          signLegacy(credentials, host, { ...parameters, Nonce: String(nonce + 1) }),
        )
        return {
          target: post('/v2/index.php', { 'Content-Type': 'application/x-www-form-urlencoded' }),
          load: withBody('scf-2.0', bodies.join('\n')),
        }
      },
    },
  ]
}

function signAcs3(key: Credentials, host: string, path: string, body: string): Record<string, string> {
  const bodyHash = sha256(body)
  const headers = {
    host,
    'x-acs-action': 'InvokeFunction',
    'x-acs-content-sha256': bodyHash,
    'x-acs-date': new Date().toISOString().replace(/\.\d+/, ''),
    'x-acs-signature-nonce': randomBytes(16).toString('hex'),
    'x-acs-version': '2021-04-06',
  }
  const { block, names } = headerBlock(headers)
  const request = ['POST', path, '', block, names, bodyHash].join('\n')
  const signature = hmac(key.accessKeySecret, `ACS3-HMAC-SHA256\n${sha256(request)}`).toString('hex')
  return {
    ...headers,
    'Content-Type': contentType,
    Authorization: `ACS3-HMAC-SHA256 Credential=${key.accessKeyId},SignedHeaders=${names},Signature=${signature}`,
  }
}

function signSdkHmac(key: Credentials, path: string, body: string): Record<string, string> {
  const date = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const { block, names } = headerBlock({ 'content-type': 'application/json', 'x-sdk-date': date })
  const canonicalPath = `${path.split('/').map(encodeURIComponent).join('/')}/`
  const request = ['POST', canonicalPath, '', block, names, sha256(body)].join('\n')
  const signature = hmac(key.accessKeySecret, `SDK-HMAC-SHA256\n${date}\n${sha256(request)}`).toString('hex')
  return {
    'Content-Type': 'application/json',
    'X-Sdk-Date': date,
    Authorization: `SDK-HMAC-SHA256 Access=${key.accessKeyId}, SignedHeaders=${names}, Signature=${signature}`,
  }
}

/** Headers of a request of the SCF API 3.0, signed as its SDKs do. */
export function signTc3(
  key: Credentials,
  host: string,
  action: string,
  body: string,
): Record<string, string> {
  const now = new Date()
  const timestamp = String(Math.floor(now.getTime() / 1000))
  const date = now.toISOString().slice(0, 10)
  const scope = `${date}/scf/tc3_request`
  const { block, names } = headerBlock({ 'content-type': 'application/json', host })
  const request = ['POST', '/', '', block, names, sha256(body)].join('\n')
  let derived: string | Buffer = `TC3${key.accessKeySecret}`
  for (const part of [date, 'scf', 'tc3_request']) derived = hmac(derived, part)
  const text = `TC3-HMAC-SHA256\n${timestamp}\n${scope}\n${sha256(request)}`
  return {
    'Content-Type': 'application/json',
    'X-TC-Action': action,
    'X-TC-Version': '2018-04-16',
    'X-TC-Timestamp': timestamp,
    'X-TC-Region': 'ap-guangzhou',
    Authorization: `TC3-HMAC-SHA256 Credential=${key.accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${hmac(derived, text).toString('hex')}`,
  }
}

/** A form of the legacy API, which remembers nonces: every request has its own signature. */
function signLegacy(key: Credentials, host: string, given: Readonly<Record<string, string>>): string {
  const parameters: Record<string, string> = {
    ...given,
    SecretId: key.accessKeyId,
    SignatureMethod: 'HmacSHA256',
    Timestamp: String(Math.floor(Date.now() / 1000)),
  }
  const pairs = Object.keys(parameters)
    .sort()
    .map((name) => `${name}=${parameters[name]}`)
  const signature = hmac(key.accessKeySecret, `POST${host}/v2/index.php?${pairs.join('&')}`).toString(
    'base64',
  )
  return new URLSearchParams({ ...parameters, Signature: signature }).toString()
}

function headerBlock(headers: Readonly<Record<string, string>>): { block: string; names: string } {
  const names = Object.keys(headers).sort()
  return { block: names.map((name) => `${name}:${headers[name]}\n`).join(''), names: names.join(';') }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
