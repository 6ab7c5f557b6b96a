import { createHmac, createSecretKey } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { TaskService } from '../../../src/async/task-service.ts'
import { KeyRing } from '../../../src/auth/keyring.ts'
import { createAlibabaFc } from '../../../src/dialects/alibaba-fc/dialect.ts'
import type { Dialect } from '../../../src/dialects/dialect.ts'
import { Catalogue } from '../../../src/engine/catalogue.ts'
import { CodeLinks } from '../../../src/intake/code-link.ts'
import { isJsonObject, type JsonObject } from '../../../src/model/json.ts'
import type { Reply } from '../../../src/http/exchange.ts'
import { EngineError } from '../../../src/model/errors.ts'
import { patientCaller, type InvokeRequest } from '../../../src/model/invocation.ts'
import type { Ending, Outcome } from '../../../src/model/outcome.ts'
import { payloadOf, toBuffer } from '../../../src/model/payload.ts'
import { PackageStore } from '../../../src/store/packages/packages.ts'
import { SqliteStore } from '../../../src/store/sqlite/sqlite-store.ts'
import { assertSound } from '../../helpers/soundness.ts'
import { zipOf as zipOfFiles } from '../../helpers/zip.ts'

export const ACCOUNT = '1234567890123456'
export const KEY_ID = 'testAccessKeyId'
const SECRET = 'testAccessKeySecret'

/** A server's dialect over a real store and real packages; only the engine follows a script. */
export interface Harness {
  readonly dialect: Dialect
  readonly catalogue: Catalogue
  readonly store: SqliteStore
  /** What the engine was asked to run. */
  readonly invocations: InvokeRequest[]
  /** Failures the operator was told of. */
  readonly observed: unknown[]
  /** Runtimes this host is said to lack. */
  readonly missingRuntimes: Set<string>
  clockMs: number
  /** How every run ends, and what it logs. */
  ending: Ending
  logTail: string
  send(request: TestRequest): Promise<TestReply>
  close(): Promise<void>
}

export interface TestRequest {
  readonly method: string
  /** With the API version and, after a `?`, the raw query. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
  readonly unsigned?: boolean
}

export interface TestReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly bytes: Buffer
  /** The body, parsed; empty when it is no JSON object. */
  readonly json: JsonObject
}

export async function openHarness(): Promise<Harness> {
  const dir = await mkdtemp(join(tmpdir(), 'anvoke-fc-'))
  const store = await SqliteStore.open({ file: join(dir, 'store.db'), now: () => harness.clockMs })
  const packages = await PackageStore.open({ dir: join(dir, 'packages') })
  const catalogue = await Catalogue.open(store.definitions)
  const credential = { accessKeyId: KEY_ID, accessKeySecret: SECRET, accountId: ACCOUNT }
  const invocations: InvokeRequest[] = []
  const observed: unknown[] = []
  const missingRuntimes = new Set(['php7.2'])
  const dialect = createAlibabaFc({
    catalogue,
    packages,
    keyring: new KeyRing([credential], Buffer.alloc(32, 7)),
    engine: {
      invoke: (request) => {
        invocations.push(request)
        return Promise.resolve().then((): Outcome => outcomeOf(harness, request))
      },
    },
    tasks: new TaskService({
      queue: store.tasks,
      // Nothing runs by itself here: tests claim tasks, and settle them.
      delivery: {
        notify: () => undefined,
        terminate: async (account, requestId) => {
          const found = await store.tasks.requestStop(account, requestId, harness.clockMs)
          if (found === undefined) return 'unknown'
          return found === 'waiting' ? 'cancelled' : found === 'running' ? 'terminated' : 'ended'
        },
      },
      clock: { now: () => harness.clockMs, after: () => () => undefined },
    }),
    keptOf: ({ target }) => ({ ready: 0, target }),
    requireRuntime: (runtime) => {
      if (missingRuntimes.has(runtime))
        throw new EngineError('caller/runtime-missing', { runtime, hint: 'install it' })
    },
    region: 'cn-hangzhou',
    ownPort: () => 7400,
    now: () => harness.clockMs,
    links: new CodeLinks({
      key: createSecretKey(Buffer.alloc(32, 9)),
      packages,
      now: () => harness.clockMs,
    }),
    observe: (error) => observed.push(error),
  })
  const harness: Harness = {
    dialect,
    catalogue,
    store,
    invocations,
    observed,
    missingRuntimes,
    clockMs: Date.parse('2026-11-21T10:00:00Z'),
    ending: { kind: 'returned', payload: payloadOf('done') },
    logTail: '',
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

/** One member of each entry of a list in an answer. */
export function pluck(reply: TestReply, list: string, member: string): unknown[] {
  const entries = reply.json[list]
  if (!Array.isArray(entries)) throw new TypeError(`the answer has no list '${list}'`)
  return entries.map((entry: unknown) => (isJsonObject(entry) ? entry[member] : undefined))
}

/** A zip with one file, as base64 text. */
export async function zipOf(source = 'exports.handler = () => 1\n'): Promise<string> {
  return (await zipOfFiles({ 'index.js': source })).toString('base64')
}

/** The members every create request for a function needs. */
export async function functionBody(
  functionName: string,
  more: Record<string, unknown> = {},
): Promise<object> {
  const code = { zipFile: await zipOf() }
  return { functionName, runtime: 'nodejs20', handler: 'index.handler', code, ...more }
}

function outcomeOf(harness: Harness, request: InvokeRequest): Outcome {
  const version = harness.catalogue.resolve(request.target)
  return {
    version,
    instanceId: 'c-00000001-00000002-000000000003',
    coldStart: false,
    durationMs: 1.159,
    billedDurationMs: 2,
    initDurationMs: 0,
    maxMemoryBytes: 9.2 * 1024 * 1024,
    logTail: () => Buffer.from(harness.logTail),
    ...harness.ending,
  }
}

export function exchangeOf(
  { method, path, headers = {}, body, unsigned = false }: TestRequest,
  nowMs: number,
): Parameters<Dialect['handle']>[0] {
  const [rawPath = '', ...rest] = path.split('?')
  const bytes = Buffer.isBuffer(body)
    ? body
    : Buffer.from(body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body))
  const sent: Record<string, string> = { host: '127.0.0.1:7400', ...headers }
  if (!unsigned) sign(method, rawPath, sent, nowMs)
  return {
    method,
    rawPath,
    rawQuery: rest.join('?'),
    headers: sent,
    receivedAtMs: nowMs,
    caller: patientCaller(),
    readBody: async (limitBytes) => {
      if (bytes.length > limitBytes) throw new EngineError('caller/payload-too-large', { limitBytes })
      return payloadOf(bytes)
    },
  }
}

/** The FC signature, made here and not by the code under test. */
function sign(method: string, rawPath: string, headers: Record<string, string>, nowMs: number): void {
  headers['date'] = new Date(nowMs).toUTCString()
  const fcHeaders = Object.keys(headers)
    .filter((name) => name.startsWith('x-fc-'))
    .sort()
    .map((name) => `${name}:${headers[name]?.trim()}\n`)
    .join('')
  // Off the API's own paths the signature covers the query as well, here always an empty one.
  const resource = /^\/20\d\d-/.test(rawPath) ? rawPath : `${rawPath}\n`
  const toSign = `${method}\n${headers['content-md5'] ?? ''}\n${headers['content-type'] ?? ''}\n${headers['date']}\n${fcHeaders}${resource}`
  headers['authorization'] = `FC ${KEY_ID}:${createHmac('sha256', SECRET).update(toSign).digest('base64')}`
}

async function replyOf({ status, headers, body }: Reply): Promise<TestReply> {
  const bytes = await bytesOf(body)
  return { status, headers, bytes, json: parsed(bytes) }
}

async function bytesOf(body: Reply['body']): Promise<Buffer> {
  if (body === undefined) return Buffer.alloc(0)
  if ('chunks' in body) return toBuffer(body)
  return buffer(body.stream)
}

function parsed(bytes: Buffer): JsonObject {
  try {
    const value: unknown = JSON.parse(bytes.toString())
    return isJsonObject(value) ? value : {}
  } catch {
    return {}
  }
}
