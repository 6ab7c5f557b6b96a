import { createRequire } from 'node:module'
import type fc2 from '@alicloud/fc2'
import type openModule from '@alicloud/fc-open20210406'
import type openApiModule from '@alicloud/openapi-client'
import type teaUtilModule from '@alicloud/tea-util'
import { ACCOUNT, KEY_ID, KEY_SECRET, TestServer } from '../../helpers/server.ts'
import { zipOf } from '../../helpers/zip.ts'

const load = createRequire(import.meta.url)
/** The official clients as CommonJS programs get them. */
export const Fc2: typeof fc2 = load('@alicloud/fc2')
// Both would share connections, and the younger one leaves read timers on them that fail requests of the older one.
for (const file of Object.keys(load.cache)) if (file.includes('/httpx/')) delete load.cache[file]
export const Open: typeof openModule = load('@alicloud/fc-open20210406')
const OpenApi: typeof openApiModule = load('@alicloud/openapi-client')
const TeaUtil: typeof teaUtilModule = load('@alicloud/tea-util')

export type Fc2Client = fc2
export type OpenClient = InstanceType<typeof Open.default>

const REGION = 'cn-hangzhou'
/** Longer than any call of these tests takes on a busy machine. */
const CLIENT_TIMEOUT_MS = 60_000

/** Where a client finds its server. */
type Place = Pick<TestServer, 'endpoint' | 'origin'>

export interface Keys {
  readonly accessKeyId: string
  readonly accessKeySecret: string
  readonly securityToken?: string
}

const ROOT: Keys = { accessKeyId: KEY_ID, accessKeySecret: KEY_SECRET }

/** The client of API 2016-08-15. */
export function fc2Client(server: Place, keys: Keys = ROOT): Fc2Client {
  return new Fc2(ACCOUNT, {
    endpoint: server.origin,
    accessKeyID: keys.accessKeyId,
    accessKeySecret: keys.accessKeySecret,
    ...(keys.securityToken === undefined ? {} : { securityToken: keys.securityToken }),
    region: REGION,
    timeout: CLIENT_TIMEOUT_MS,
  })
}

/** The client of API 2021-04-06. */
export function openClient(
  server: Place,
  keys: Keys = ROOT,
  settings: { signatureAlgorithm?: string } = {},
): OpenClient {
  const config = new OpenApi.Config({
    endpoint: server.endpoint,
    protocol: 'http',
    accessKeyId: keys.accessKeyId,
    accessKeySecret: keys.accessKeySecret,
    regionId: REGION,
    // The first also counts while it waits for an answer.
    connectTimeout: CLIENT_TIMEOUT_MS,
    readTimeout: CLIENT_TIMEOUT_MS,
    ...(keys.securityToken === undefined ? {} : { securityToken: keys.securityToken, type: 'sts' }),
    ...settings,
  })
  return new Open.default(config)
}

/** What a deployed function needs beyond its code. */
export interface FunctionSettings {
  readonly runtime?: string
  readonly handler?: string
  readonly [setting: string]: unknown
}

/** One invocation's answer, the body as bytes. */
export interface Answer {
  readonly headers: Readonly<Record<string, string>>
  readonly bytes: Buffer
  readonly text: string
  // oxlint-disable-next-line typescript/no-explicit-any -- its members are what the tests look into
  readonly json: any
  readonly errorType: string | undefined
  readonly requestId: string
  readonly instanceId: string
  readonly versionId: string
  /** Decoded; empty when none was returned. */
  readonly log: string
}

export interface InvokeOptions {
  readonly event?: string | Buffer
  readonly qualifier?: string
  readonly tail?: boolean
  readonly headers?: Readonly<Record<string, string>>
}

/** The younger client's options of one call: a repeat by the client would hide an answer that was wrong. */
export const SENT_ONCE = new TeaUtil.RuntimeOptions({ autoretry: false })

/** A running server with both clients, and one service that functions of a test file are deployed into. */
export class Suite {
  readonly server: TestServer
  readonly service: string
  /** Whether functions run in namespaces of their own here, with their code at the vendor's place. */
  readonly isolates: boolean
  readonly fc2: Fc2Client
  readonly open: OpenClient
  /** What the younger client takes with each call. */
  readonly runtimeOptions = SENT_ONCE

  private constructor(server: TestServer, service: string, isolates: boolean) {
    this.server = server
    this.service = service
    this.isolates = isolates
    this.fc2 = fc2Client(server)
    this.open = openClient(server)
  }

  static async start(service: string, environment: Readonly<Record<string, string>> = {}): Promise<Suite> {
    const server = await TestServer.start({ ANVOKE_REGION: REGION, ...environment })
    try {
      const suite = new Suite(server, service, await server.isolates())
      await suite.fc2.createService(service)
      return suite
    } catch (error) {
      await server.close()
      throw error
    }
  }

  /** Deploys JavaScript for nodejs20, or the files given, with defaults that a test can replace. */
  async deploy(
    name: string,
    code: string | Readonly<Record<string, string>>,
    settings: FunctionSettings = {},
    service = this.service,
  ): Promise<void> {
    await this.fc2.createFunction(service, {
      functionName: name,
      runtime: 'nodejs20',
      handler: 'index.handler',
      memorySize: 256,
      timeout: 20,
      code: { zipFile: await base64Zip(code) },
      ...settings,
    })
  }

  deployPython(name: string, source: string, settings: FunctionSettings = {}): Promise<void> {
    return this.deploy(name, { 'index.py': source }, { runtime: 'python3.10', ...settings })
  }

  /** Invokes through API 2021-04-06, whose client hands out the body untouched. */
  async invoke(name: string, options: InvokeOptions = {}, service = this.service): Promise<Answer> {
    const { event, qualifier, tail, headers } = options
    const response = await this.open.invokeFunctionWithOptions(
      service,
      name,
      new Open.InvokeFunctionRequest({
        ...(event === undefined ? {} : { body: Buffer.from(event as string) }),
        ...(qualifier === undefined ? {} : { qualifier }),
      }),
      new Open.InvokeFunctionHeaders({
        commonHeaders: { ...headers },
        ...(tail === true ? { xFcLogType: 'Tail' } : {}),
      }),
      this.runtimeOptions,
    )
    return answerOf(response.headers, Buffer.from(response.body))
  }

  /** Hands a call over to be run later; resolves with its request id once it is accepted. */
  async invokeAsync(
    name: string,
    event = '',
    headers: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const { headers: answered } = await this.fc2.invokeFunction(this.service, name, event, {
      'x-fc-invocation-type': 'Async',
      ...headers,
    })
    return answered['x-fc-request-id'] ?? ''
  }

  log(name: string): Promise<string> {
    return this.server.functionLog(this.service, name)
  }

  untilLogged(name: string, satisfies: (log: string) => boolean, withinMs?: number): Promise<string> {
    return this.server.untilLogged(this.service, name, satisfies, withinMs)
  }
}

/** Code as SDK users send it: one file `index.js`, or files by path. */
export async function base64Zip(code: string | Readonly<Record<string, string>>): Promise<string> {
  const zip = await zipOf(typeof code === 'string' ? { 'index.js': code } : code)
  return zip.toString('base64')
}

function answerOf(headers: Readonly<Record<string, string>>, bytes: Buffer): Answer {
  return {
    headers,
    bytes,
    text: bytes.toString(),
    get json(): unknown {
      return JSON.parse(bytes.toString())
    },
    errorType: headers['x-fc-error-type'],
    requestId: headers['x-fc-request-id'] ?? '',
    instanceId: headers['x-fc-instance-id'] ?? '',
    versionId: headers['x-fc-invocation-service-version'] ?? '',
    log: Buffer.from(headers['x-fc-log-result'] ?? '', 'base64').toString(),
  }
}
