import { createRequire } from 'node:module'
import { BasicCredentials } from '@huaweicloud/huaweicloud-sdk-core'
import {
  AsyncInvokeFunctionRequest,
  FunctionGraphClient,
  InvokeFunctionRequest,
} from '@huaweicloud/huaweicloud-sdk-functiongraph'
import { scf } from 'tencentcloud-sdk-nodejs-scf'
import { KEY_ID, KEY_SECRET, type TestServer } from '../../helpers/server.ts'
import { fc2Client, Open, openClient, SENT_ONCE } from '../alibaba-fc/clients.ts'

/** Any project id will do: it is part of the caller's way to speak, not of the function's name. */
export const PROJECT_ID = '7aad83af3e8d42e99ac194e8419e2c9b'
export const REGION = 'cn-hangzhou'

/** What a caller learns of a call, taken out of its own vendor's answer. */
export interface Seen {
  /** The request id as this vendor's answer names it. */
  readonly requestId: string
  readonly failed: boolean
  /** The result, or the failure's message, as this vendor's client reads it. */
  readonly text: string
  readonly log: string
}

/** One vendor's client, asked to call a function that any vendor's client may have made. */
export interface Entrance {
  readonly name: string
  invoke(namespace: string, name: string, event: string): Promise<Seen>
  /** Resolves with the request id once the call is accepted. */
  invokeAsync(namespace: string, name: string, event: string): Promise<string>
}

type LegacyAnswer = Readonly<{ code: number; message: string; data: Readonly<Record<string, string>> }>
interface LegacyClient {
  request(
    data: Readonly<Record<string, string>>,
    options: Readonly<Record<string, string>>,
    done: (error: Error | null, body: LegacyAnswer) => void,
  ): void
}
const LegacyApi = createRequire(import.meta.url)('qcloudapi-sdk') as new (
  settings: Readonly<Record<string, string>>,
) => LegacyClient

export function entrancesOf(server: TestServer): readonly Entrance[] {
  return [fc2016(server), fc2021(server), functionGraph(server), scfCurrent(server), scfLegacy(server)]
}

function fc2016(server: TestServer): Entrance {
  const client = fc2Client(server)
  return {
    name: 'Alibaba FC 2016-08-15',
    async invoke(namespace, name, event) {
      const { headers, data } = await client.invokeFunction(namespace, name, event, {
        'x-fc-log-type': 'Tail',
      })
      const failed = headers['x-fc-error-type'] !== undefined
      return {
        requestId: headers['x-fc-request-id'] ?? '',
        failed,
        text: failed ? messageOf(data) : textOf(data),
        log: Buffer.from(headers['x-fc-log-result'] ?? '', 'base64').toString(),
      }
    },
    async invokeAsync(namespace, name, event) {
      const { headers } = await client.invokeFunction(namespace, name, event, {
        'x-fc-invocation-type': 'Async',
      })
      return headers['x-fc-request-id'] ?? ''
    },
  }
}

function fc2021(server: TestServer): Entrance {
  const client = openClient(server)
  const call = (namespace: string, name: string, event: string, headers: Record<string, string>) =>
    client.invokeFunctionWithOptions(
      namespace,
      name,
      new Open.InvokeFunctionRequest({ body: Buffer.from(event) }),
      new Open.InvokeFunctionHeaders({ commonHeaders: headers }),
      SENT_ONCE,
    )
  return {
    name: 'Alibaba FC 2021-04-06',
    async invoke(namespace, name, event) {
      const { headers, body } = await call(namespace, name, event, { 'x-fc-log-type': 'Tail' })
      const failed = headers['x-fc-error-type'] !== undefined
      const text = Buffer.from(body).toString()
      return {
        requestId: headers['x-fc-request-id'] ?? '',
        failed,
        text: failed ? messageOf(text) : text,
        log: Buffer.from(headers['x-fc-log-result'] ?? '', 'base64').toString(),
      }
    },
    async invokeAsync(namespace, name, event) {
      const { headers } = await call(namespace, name, event, { 'x-fc-invocation-type': 'Async' })
      return headers['x-fc-request-id'] ?? ''
    },
  }
}

/** A client of FunctionGraph v2. */
export function functionGraphClient(server: TestServer): FunctionGraphClient {
  const credentials = new BasicCredentials().withAk(KEY_ID).withSk(KEY_SECRET).withProjectId(PROJECT_ID)
  return FunctionGraphClient.newBuilder().withCredential(credentials).withEndpoint(server.origin).build()
}

function functionGraph(server: TestServer): Entrance {
  const client = functionGraphClient(server)
  const urn = (namespace: string, name: string) =>
    `urn:fss:${REGION}:${PROJECT_ID}:function:${namespace}:${name}:latest`
  return {
    name: 'Huawei FunctionGraph v2',
    async invoke(namespace, name, event) {
      const request = new InvokeFunctionRequest(urn(namespace, name))
        .withXCFFRequestVersion('v1')
        .withXCffLogType('tail')
        .withBody(JSON.parse(event))
      const answer = await client.invokeFunction(request)
      const { result = '', log = '', status } = answer
      const failed = status !== 200
      return { requestId: requestIdOf(answer), failed, text: failed ? messageOf(result) : result, log }
    },
    async invokeAsync(namespace, name, event) {
      const request = new AsyncInvokeFunctionRequest(urn(namespace, name)).withBody(JSON.parse(event))
      return requestIdOf(await client.asyncInvokeFunction(request))
    },
  }
}

/** Answers of this client are plain objects with the members of the wire, whatever its types say. */
function requestIdOf(answer: object): string {
  return (answer as { request_id?: string }).request_id ?? ''
}

/** A client of API 3.0. */
export function scfClient(server: TestServer): InstanceType<typeof scf.v20180416.Client> {
  return new scf.v20180416.Client({
    credential: { secretId: KEY_ID, secretKey: KEY_SECRET },
    region: 'ap-guangzhou',
    profile: { httpProfile: { endpoint: server.endpoint, protocol: 'http://' } },
  })
}

function scfCurrent(server: TestServer): Entrance {
  const client = scfClient(server)
  return {
    name: 'Tencent SCF 3.0',
    async invoke(namespace, name, event) {
      const { Result } = await client.Invoke({
        Namespace: namespace,
        FunctionName: name,
        ClientContext: event,
        LogType: 'Tail',
      })
      const failed = Result?.InvokeResult !== 0
      return {
        requestId: Result?.FunctionRequestId ?? '',
        failed,
        text: (failed ? Result?.ErrMsg : Result.RetMsg) ?? '',
        log: Result?.Log ?? '',
      }
    },
    async invokeAsync(namespace, name, event) {
      const { Result } = await client.Invoke({
        Namespace: namespace,
        FunctionName: name,
        ClientContext: event,
        InvocationType: 'Event',
      })
      return Result?.FunctionRequestId ?? ''
    },
  }
}

function scfLegacy(server: TestServer): Entrance {
  const client = new LegacyApi({
    SecretId: KEY_ID,
    SecretKey: KEY_SECRET,
    Region: 'gz',
    serviceType: 'scf',
  })
  const call = (parameters: Readonly<Record<string, string>>) =>
    new Promise<LegacyAnswer['data']>((resolve, reject) =>
      client.request(
        { Action: 'InvokeFunction', ...parameters },
        { host: server.endpoint, protocol: 'http' },
        (error, body) => {
          if (error) reject(error)
          else if (body.code !== 0) reject(new Error(`${body.code} ${body.message}`))
          else resolve(body.data)
        },
      ),
    )
  return {
    name: 'Tencent SCF 2.0',
    async invoke(namespace, functionName, param) {
      const data = await call({ namespace, functionName, param, logType: 'Tail' })
      const failed = data['errMsg'] !== ''
      return {
        requestId: data['requestId'] ?? '',
        failed,
        text: (failed ? data['errMsg'] : data['retMsg']) ?? '',
        log: data['log'] ?? '',
      }
    },
    async invokeAsync(namespace, functionName, param) {
      return (await call({ namespace, functionName, param, invokeType: 'Event' }))['requestId'] ?? ''
    },
  }
}

/** The message of an error body. */
function messageOf(body: unknown): string {
  const parsed: unknown = typeof body === 'string' || Buffer.isBuffer(body) ? JSON.parse(String(body)) : body
  return (parsed as { errorMessage?: string }).errorMessage ?? `no message in ${JSON.stringify(parsed)}`
}

/** This client parses JSON answers by itself. */
function textOf(data: unknown): string {
  return typeof data === 'string' || Buffer.isBuffer(data) ? String(data) : JSON.stringify(data)
}
