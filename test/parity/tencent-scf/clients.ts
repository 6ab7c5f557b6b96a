import { createRequire } from 'node:module'
import type QcloudApi from 'qcloudapi-sdk'
import type * as scfModule from 'tencentcloud-sdk-nodejs-scf'
import { KEY_ID, KEY_SECRET, TestServer } from '../../helpers/server.ts'
import { zipOf } from '../../helpers/zip.ts'

const load = createRequire(import.meta.url)
/** The official clients as CommonJS programs get them. */
const { scf }: typeof scfModule = load('tencentcloud-sdk-nodejs-scf')
const Legacy: typeof QcloudApi = load('qcloudapi-sdk')

export type ScfClient = InstanceType<typeof scf.v20180416.Client>
/** What a call is answered with; each of its members is always there. */
export type Result = Required<NonNullable<Awaited<ReturnType<ScfClient['Invoke']>>['Result']>>

/** Longer than any call of these tests takes on a busy machine. */
const CLIENT_TIMEOUT_S = 60

export interface Keys {
  readonly secretId: string
  readonly secretKey: string
  readonly token?: string
}

const ROOT: Keys = { secretId: KEY_ID, secretKey: KEY_SECRET }

/** One way in which the young client signs and sends. */
export interface Way {
  readonly signMethod?: 'TC3-HMAC-SHA256' | 'HmacSHA1' | 'HmacSHA256'
  readonly reqMethod?: 'GET' | 'POST'
}

/** The client of API 3.0, with nothing set but the endpoint and the way. */
export function scfClient(
  { endpoint }: Pick<TestServer, 'endpoint'>,
  { signMethod = 'TC3-HMAC-SHA256', reqMethod = 'POST' }: Way = {},
  credential: Keys = ROOT,
): ScfClient {
  return new scf.v20180416.Client({
    credential,
    region: 'ap-guangzhou',
    profile: {
      signMethod,
      language: 'en-US',
      httpProfile: { endpoint, protocol: 'http://', reqMethod, reqTimeout: CLIENT_TIMEOUT_S },
    },
  })
}

/** An answer of the legacy API. */
export interface LegacyAnswer {
  readonly code: number
  readonly message: string
  readonly codeDesc: string
  // oxlint-disable-next-line typescript/no-explicit-any -- its members are what the tests look into
  readonly data?: any
}

/** The client of the legacy API. */
export function legacyClient(
  { endpoint }: Pick<TestServer, 'endpoint'>,
  settings: { method?: 'GET' | 'POST'; signatureMethod?: 'sha1' | 'sha256'; path?: string } = {},
): (data: Readonly<Record<string, unknown>>) => Promise<LegacyAnswer> {
  const client = new Legacy({
    SecretId: KEY_ID,
    SecretKey: KEY_SECRET,
    Region: 'gz',
    protocol: 'http',
    host: endpoint,
    ...settings,
  })
  return (data) =>
    new Promise((resolve, reject) => {
      client.request(data, (error, body) => (error ? reject(error) : resolve(body as LegacyAnswer)))
    })
}

/** Base64 of a zip with the files, or with one `index.js`. */
export async function base64Zip(source: string | Readonly<Record<string, string | Buffer>>): Promise<string> {
  const files = typeof source === 'string' ? { 'index.js': source } : source
  return (await zipOf(files)).toString('base64')
}

/** A server and the clients that tests of one file share. */
export class Suite {
  readonly server: TestServer
  readonly scf: ScfClient
  readonly legacy: ReturnType<typeof legacyClient>

  private constructor(server: TestServer) {
    this.server = server
    this.scf = scfClient(server)
    this.legacy = legacyClient(server)
  }

  static async start(environment: Readonly<Record<string, string>> = {}): Promise<Suite> {
    return new Suite(await TestServer.start(environment))
  }

  /** Makes a function in `default`; of Node.js, unless settings say otherwise. */
  async deploy(
    FunctionName: string,
    source: string | Readonly<Record<string, string>>,
    settings: Readonly<Record<string, unknown>> = {},
  ): Promise<void> {
    await this.scf.CreateFunction({
      FunctionName,
      Code: { ZipFile: await base64Zip(source) },
      Runtime: 'Nodejs18.15',
      Handler: 'index.main_handler',
      ...settings,
    })
  }

  /** Calls a function and waits for it. */
  async invoke(
    FunctionName: string,
    event: unknown = {},
    more: Readonly<Record<string, string>> = {},
  ): Promise<Result> {
    const { Result } = await this.scf.Invoke({
      FunctionName,
      ClientContext: JSON.stringify(event),
      LogType: 'Tail',
      ...more,
    })
    if (Result === undefined) throw new Error('the answer has no Result')
    return Result as Required<typeof Result>
  }
}
