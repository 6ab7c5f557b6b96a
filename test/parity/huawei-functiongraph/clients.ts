import { BasicCredentials, Region } from '@huaweicloud/huaweicloud-sdk-core'
import * as fg from '@huaweicloud/huaweicloud-sdk-functiongraph'
import { createRequire } from 'node:module'
import { setTimeout as delay } from 'node:timers/promises'
import { ACCOUNT, KEY_ID, KEY_SECRET, type TestServer } from '../../helpers/server.ts'
import { zipOf } from '../../helpers/zip.ts'

const load = createRequire(import.meta.resolve('@huaweicloud/huaweicloud-sdk-core'))
/** The client prints every refusal with its whole request: here they are what is tested. */
const { configure } = load('log4js') as { configure: (settings: object) => void }
configure({
  appenders: { console: { type: 'stdout' } },
  categories: { default: { appenders: ['console'], level: 'off' } },
})

/** Any well-formed project id will do. */
export const PROJECT = '7aad83af3e8d42e99ac194e8419e2c9b'
const POLL_MS = 25

/** Answers are plain objects at run time, with the members as they are on the wire. */
export type Wire = Readonly<Record<string, unknown>>

/** The official client with a project and an endpoint, the simplest way to point it somewhere. */
export function fgClient({ origin }: Pick<TestServer, 'origin'>): fg.FunctionGraphClient {
  const credentials = new BasicCredentials().withAk(KEY_ID).withSk(KEY_SECRET).withProjectId(PROJECT)
  return fg.FunctionGraphClient.newBuilder().withCredential(credentials).withEndpoint(origin).build()
}

/** The official client with a region alone: it asks for its project. */
export function discoveringClient(
  { origin }: Pick<TestServer, 'origin'>,
  region: string,
): fg.FunctionGraphClient {
  const credentials = new BasicCredentials().withAk(KEY_ID).withSk(KEY_SECRET).withIamEndpoint(origin)
  return fg.FunctionGraphClient.newBuilder()
    .withCredential(credentials)
    .withRegion(new Region(region, origin))
    .build()
}

export interface Deployment {
  readonly runtime?: string
  readonly timeout?: number
  readonly file?: string
}

/** Creates a function of the package `default` from one source file; its URN. */
export async function deploy(
  client: fg.FunctionGraphClient,
  name: string,
  source: string,
  { runtime = 'Node.js18.15', timeout = 3, file = 'index.js' }: Deployment = {},
): Promise<string> {
  const zip = await zipOf({ [file]: source })
  const body = new fg.CreateFunctionRequestBody(name, 'default')
    .withRuntime(runtime)
    .withTimeout(timeout)
    .withHandler('index.handler')
    .withMemorySize(128)
    .withCodeType('zip')
    .withCodeFilename('index.zip')
    .withFuncCode(new fg.FuncCode().withFile(zip.toString('base64')))
  return String(wire(await client.createFunction(new fg.CreateFunctionRequest().withBody(body)))['func_urn'])
}

/** An answer as it is. */
export function wire(response: object): Wire {
  return { ...response }
}

/** Calls a function in v1 with the tail of its log. */
export async function invoke(client: fg.FunctionGraphClient, urn: string, event: unknown): Promise<Wire> {
  const request = new fg.InvokeFunctionRequest(urn)
    .withXCFFRequestVersion('v1')
    .withXCffLogType('tail')
    .withBody(event as Record<string, object>)
  return wire(await client.invokeFunction(request))
}

/** The record of an asynchronous call once it has ended. */
export async function untilEnded(
  client: fg.FunctionGraphClient,
  urn: string,
  requestId: string,
  withinMs = 20_000,
): Promise<Wire> {
  const deadline = Date.now() + withinMs
  for (;;) {
    const request = new fg.ListAsyncInvocationsRequest(urn).withRequestId(requestId)
    const { invocations } = wire(await client.listAsyncInvocations(request)) as { invocations: Wire[] }
    const [record] = invocations
    if (record !== undefined && record['status'] !== 'WAIT' && record['status'] !== 'RUNNING') return record
    if (Date.now() > deadline) throw new Error(`has not ended: ${JSON.stringify(record)}`)
    await delay(POLL_MS)
  }
}

/** What the client throws for a refusal. */
export async function refusal(call: Promise<unknown>): Promise<Wire> {
  try {
    await call
  } catch (error) {
    const { httpStatusCode, errorCode, errorMsg, requestId } = error as Record<string, unknown>
    return { httpStatusCode, errorCode, errorMsg, requestId }
  }
  throw new Error('it was not refused')
}

/** A token for the root key, by password and plain HTTP. */
export async function tokenOf({ origin }: Pick<TestServer, 'origin'>, projectId: string): Promise<string> {
  const user = { name: KEY_ID, password: KEY_SECRET, domain: { name: ACCOUNT } }
  const response = await fetch(`${origin}/v3/auth/tokens`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      auth: {
        identity: { methods: ['password'], password: { user } },
        scope: { project: { id: projectId } },
      },
    }),
  })
  const token = response.headers.get('x-subject-token')
  if (response.status !== 201 || token === null) throw new Error(await response.text())
  return token
}
