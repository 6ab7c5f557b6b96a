import { createSecretKey } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { TaskService } from '../../../src/async/task-service.ts'
import { KeyRing } from '../../../src/auth/keyring.ts'
import type { Dialect } from '../../../src/dialects/dialect.ts'
import { createHuaweiFunctionGraph } from '../../../src/dialects/huawei-functiongraph/dialect.ts'
import { projectIdOf } from '../../../src/dialects/huawei-functiongraph/ids.ts'
import { Catalogue } from '../../../src/engine/catalogue.ts'
import type { Exchange, Reply } from '../../../src/http/exchange.ts'
import { CodeLinks } from '../../../src/intake/code-link.ts'
import { isJsonObject, type JsonObject } from '../../../src/model/json.ts'
import type { CallRecord } from '../../../src/model/call-record.ts'
import { EngineError } from '../../../src/model/errors.ts'
import { patientCaller, type InvokeRequest } from '../../../src/model/invocation.ts'
import type { Ending, Outcome } from '../../../src/model/outcome.ts'
import { payloadOf, toBuffer } from '../../../src/model/payload.ts'
import { PackageStore } from '../../../src/store/packages/packages.ts'
import { SqliteStore } from '../../../src/store/sqlite/sqlite-store.ts'
import { assertSound } from '../../helpers/soundness.ts'
import { zipOf as zipOfFiles } from '../../helpers/zip.ts'
import { KEY_ID, SECRET, sdkDate, signSdk } from './signing.ts'

export const ACCOUNT = '1234567890123456'
export const REGION = 'local-1'
/** The project of the server's region. */
export const PROJECT = projectIdOf(ACCOUNT, REGION)
/** Below it are the functions. */
export const F = `/v2/${PROJECT}/fgs/functions`

/** The full URN of a function of the package `default`. */
export function urnOf(name: string, version = 'latest', namespace = 'default'): string {
  return `urn:fss:${REGION}:${PROJECT}:function:${namespace}:${name}:${version}`
}

/** A server's dialect over a real store and real packages; only the engine follows a script. */
export interface Harness {
  readonly dialect: Dialect
  readonly catalogue: Catalogue
  readonly packages: PackageStore
  readonly store: SqliteStore
  readonly keyring: KeyRing
  /** What the engine ran. */
  readonly invocations: InvokeRequest[]
  /** What the history of calls answers, whatever is asked for. */
  readonly records: CallRecord[]
  /** Failures the operator was told of. */
  readonly observed: unknown[]
  /** Runtimes this host is said to lack. */
  readonly missingRuntimes: Set<string>
  /** What is said of every provision record. */
  kept: { readonly ready: number; readonly failure?: string }
  clockMs: number
  /** How every run ends, and what it logs. */
  ending: Ending
  logTail: Buffer
  /** Thrown instead of a run. */
  refusal: EngineError | undefined
  send(request: TestRequest): Promise<TestReply>
  close(): Promise<void>
}

export interface TestRequest {
  readonly method: string
  /** As on the wire; the raw query after a `?`. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  /** A Buffer or a text as it is; anything else as JSON. */
  readonly body?: unknown
  /** A token in place of a signature. */
  readonly token?: string
  readonly unsigned?: boolean
}

export interface TestReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly bytes: Buffer
  /** The body as text. */
  readonly text: string
  /** The body, parsed; empty when it is no JSON object. */
  readonly json: JsonObject
  /** The body, parsed; empty when it is no JSON array. */
  readonly list: readonly unknown[]
  /** `error_code` of a failure. */
  readonly code: unknown
}

export async function openHarness(): Promise<Harness> {
  const dir = await mkdtemp(join(tmpdir(), 'anvoke-fg-'))
  const store = await SqliteStore.open({ file: join(dir, 'store.db') })
  const packages = await PackageStore.open({ dir: join(dir, 'packages') })
  const catalogue = await Catalogue.open(store.definitions)
  const keyring = new KeyRing(
    [{ accessKeyId: KEY_ID, accessKeySecret: SECRET, accountId: ACCOUNT }],
    Buffer.alloc(32, 7),
  )
  const invocations: InvokeRequest[] = []
  const records: CallRecord[] = []
  const observed: unknown[] = []
  const missingRuntimes = new Set(['PHP7.3'])
  const now = (): number => harness.clockMs
  const dialect = createHuaweiFunctionGraph({
    catalogue,
    packages,
    keyring,
    tokenKey: createSecretKey(Buffer.alloc(32, 5)),
    users: [{ accountId: ACCOUNT, accessKeyId: KEY_ID }],
    engine: {
      invoke: async (request) => {
        if (harness.refusal !== undefined) throw harness.refusal
        const outcome = outcomeOf(harness, request)
        invocations.push(request)
        return outcome
      },
    },
    tasks: new TaskService({
      queue: store.tasks,
      clock: { now, after: () => () => undefined },
      delivery: {
        notify: () => undefined,
        terminate: async (account, requestId) => {
          const status = await store.tasks.cancel(account, requestId, now())
          if (status === undefined) return 'unknown'
          return status === 'waiting' ? 'cancelled' : 'ended'
        },
      },
    }),
    history: { find: (_filter, limit) => Promise.resolve(records.slice(0, limit)) },
    keptOf: ({ target }) => ({ target, ...harness.kept }),
    requireRuntime: (runtime) => {
      if (missingRuntimes.has(runtime))
        throw new EngineError('caller/runtime-missing', { runtime, hint: 'install it' })
    },
    region: REGION,
    now,
    links: new CodeLinks({ key: createSecretKey(Buffer.alloc(32, 9)), packages, now }),
    ownPort: () => 7400,
    observe: (error) => observed.push(error),
  })
  const harness: Harness = {
    dialect,
    catalogue,
    packages,
    store,
    keyring,
    invocations,
    records,
    observed,
    missingRuntimes,
    kept: { ready: 0 },
    clockMs: Date.parse('2026-11-21T10:00:00Z'),
    ending: { kind: 'returned', payload: payloadOf('{"done":true}') },
    logTail: Buffer.alloc(0),
    refusal: undefined,
    send: async (request) => replyOf(await dialect.handle(exchangeOf(request, harness.clockMs))),
    close: async () => {
      const sound = assertSound(store.tasks)
      await Promise.allSettled([sound])
      await packages.close()
      await store.close()
      await rm(dir, { recursive: true })
      await sound
    },
  }
  return harness
}

/** The members every create request needs. */
export function functionBody(name: string, more: Readonly<Record<string, unknown>> = {}): object {
  return {
    func_name: name,
    package: 'default',
    runtime: 'Node.js18.15',
    timeout: 3,
    handler: 'index.handler',
    memory_size: 128,
    code_type: 'inline',
    func_code: { file: Buffer.from('exports.handler = async (event) => event\n').toString('base64') },
    ...more,
  }
}

/** A zip with one file, as base64 text. */
export async function zipOf(
  source = 'exports.handler = async (event) => event\n',
  file = 'index.js',
): Promise<string> {
  return (await zipOfFiles({ [file]: source })).toString('base64')
}

export function exchangeOf(
  { method, path, headers = {}, body, token, unsigned = false }: TestRequest,
  nowMs: number,
): Exchange {
  const [rawPath = '', ...rest] = path.split('?')
  const rawQuery = rest.join('?')
  const bytes = Buffer.isBuffer(body)
    ? body
    : Buffer.from(body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body))
  const sent: Record<string, string> = {
    host: '127.0.0.1:7400',
    'content-type': 'application/json',
    ...headers,
  }
  if (token !== undefined) sent['x-auth-token'] = token
  else if (!unsigned) {
    sent['x-sdk-date'] ??= sdkDate(nowMs)
    sent['authorization'] ??= signSdk({ method, rawPath, rawQuery, headers: sent, body: bytes })
  }
  return {
    method,
    rawPath,
    rawQuery,
    headers: sent,
    receivedAtMs: nowMs,
    caller: patientCaller(),
    readBody: async (limitBytes) => {
      if (bytes.length > limitBytes) throw new EngineError('caller/payload-too-large', { limitBytes })
      return payloadOf(bytes)
    },
  }
}

function outcomeOf(harness: Harness, request: InvokeRequest): Outcome {
  const version = harness.catalogue.resolve(request.target)
  return {
    version,
    instanceId: 'c-00000001-00000002-000000000003',
    coldStart: false,
    durationMs: 1.9134,
    billedDurationMs: 2,
    initDurationMs: 0,
    maxMemoryBytes: 41.5 * 1024 * 1024,
    logTail: () => harness.logTail,
    ...harness.ending,
  }
}

async function replyOf({ status, headers, body }: Reply): Promise<TestReply> {
  const bytes = await bytesOf(body)
  const text = bytes.toString()
  const value = parsed(text)
  const json = isJsonObject(value) ? value : {}
  return {
    status,
    headers,
    bytes,
    text,
    json,
    list: Array.isArray(value) ? (value as unknown[]) : [],
    code: json['error_code'],
  }
}

async function bytesOf(body: Reply['body']): Promise<Buffer> {
  if (body === undefined) return Buffer.alloc(0)
  return 'chunks' in body ? toBuffer(body) : buffer(body.stream)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
