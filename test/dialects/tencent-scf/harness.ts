import { createSecretKey } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TaskService } from '../../../src/async/task-service.ts'
import type { Termination } from '../../../src/async/tasks.ts'
import { KeyRing } from '../../../src/auth/keyring.ts'
import type { Dialect } from '../../../src/dialects/dialect.ts'
import { createTencentScf } from '../../../src/dialects/tencent-scf/dialect.ts'
import { isJsonObject } from '../../../src/model/json.ts'
import type { JsonObject } from '../../../src/dialects/tencent-scf/operation.ts'
import { Catalogue } from '../../../src/engine/catalogue.ts'
import type { Exchange, Reply } from '../../../src/http/exchange.ts'
import { CodeLinks } from '../../../src/intake/code-link.ts'
import type { CallFilter, CallRecord } from '../../../src/model/call-record.ts'
import { EngineError } from '../../../src/model/errors.ts'
import { patientCaller, type InvokeRequest } from '../../../src/model/invocation.ts'
import type { Ending, Outcome } from '../../../src/model/outcome.ts'
import { payloadOf, toBuffer } from '../../../src/model/payload.ts'
import { PackageStore } from '../../../src/store/packages/packages.ts'
import { SqliteStore } from '../../../src/store/sqlite/sqlite-store.ts'
import { assertSound } from '../../helpers/soundness.ts'
import { zipOf as zipOfFiles } from '../../helpers/zip.ts'
import {
  ACCOUNT,
  CLOCK_MS,
  flatten,
  SECRET_ID,
  SECRET_KEY,
  signParameters,
  signTc3,
  VERSION,
} from './signing.ts'

export const HOST = '127.0.0.1:7400'

/** One request as the listener would hand it on. */
export interface RawRequest {
  readonly method?: string
  readonly path?: string
  readonly query?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

/** An answer, taken apart. */
export interface TestReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** The whole body, parsed. */
  readonly json: JsonObject
  /** `Response` of API 3.0; empty when there is none. */
  readonly response: JsonObject
  /** `Error.Code` of API 3.0, or the legacy `code` where it is not 0. */
  readonly code: unknown
  readonly message: unknown
}

/** A server's dialect over a real store and real packages; only the engine follows a script. */
export interface Harness {
  readonly dialect: Dialect
  readonly catalogue: Catalogue
  readonly packages: PackageStore
  readonly store: SqliteStore
  /** What the engine was asked to run. */
  readonly invocations: InvokeRequest[]
  /** What the history of calls has, newest first; of whichever function. */
  readonly records: CallRecord[]
  /** Failures the operator was told of. */
  readonly observed: unknown[]
  /** Runtimes this host is said to lack. */
  readonly missingRuntimes: Set<string>
  /** The graces of the terminations that were asked for. */
  readonly graces: (number | undefined)[]
  /** What becomes of an asynchronous call that is to end; undefined: it ends if it waits. */
  termination: Termination | undefined
  /** What is said of every provision record. */
  kept: { readonly ready: number; readonly failure?: string }
  clockMs: number
  /** How every run ends, and what it logs. */
  ending: Ending
  /** Thrown instead of a run. */
  refusal: EngineError | undefined
  logTail: string | Buffer
  /** An action of API 3.0, as JSON with a TC3 signature. */
  call(action: string, params?: object): Promise<TestReply>
  /** An action of the legacy API, as a form with an HmacSHA1 signature. */
  callLegacy(action: string, params?: object): Promise<TestReply>
  /** A request as it is. */
  send(request: RawRequest): Promise<TestReply>
  close(): Promise<void>
}

export async function openHarness(): Promise<Harness> {
  const dir = await mkdtemp(join(tmpdir(), 'anvoke-scf-'))
  const store = await SqliteStore.open({ file: join(dir, 'store.db') })
  const packages = await PackageStore.open({ dir: join(dir, 'packages') })
  const catalogue = await Catalogue.open(store.definitions)
  const credential = { accessKeyId: SECRET_ID, accessKeySecret: SECRET_KEY, accountId: ACCOUNT }
  const invocations: InvokeRequest[] = []
  const records: CallRecord[] = []
  const observed: unknown[] = []
  const missingRuntimes = new Set(['Php7'])
  const now = (): number => harness.clockMs
  let nonce = 0
  const dialect = createTencentScf({
    catalogue,
    packages,
    keyring: new KeyRing([credential], Buffer.alloc(32, 7)),
    engine: {
      invoke: async (request) => {
        invocations.push(request)
        if (harness.refusal !== undefined) throw harness.refusal
        return outcomeOf(harness, request)
      },
    },
    tasks: new TaskService({
      queue: store.tasks,
      clock: { now, after: () => () => undefined },
      delivery: {
        notify: () => undefined,
        terminate: async (account, requestId, graceMs) => {
          harness.graces.push(graceMs)
          if (harness.termination !== undefined) return harness.termination
          const status = await store.tasks.cancel(account, requestId, now())
          if (status === undefined) return 'unknown'
          return status === 'waiting' ? 'cancelled' : 'ended'
        },
      },
    }),
    history: {
      find: (filter, limit) => Promise.resolve(records.filter((one) => fits(filter, one)).slice(0, limit)),
    },
    keptOf: ({ target }) => ({ target, ...harness.kept }),
    requireRuntime: (runtime) => {
      if (missingRuntimes.has(runtime))
        throw new EngineError('caller/runtime-missing', { runtime, hint: 'install it' })
    },
    region: 'ap-guangzhou',
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
    invocations,
    records,
    observed,
    missingRuntimes,
    graces: [],
    termination: undefined,
    kept: { ready: 0 },
    clockMs: CLOCK_MS,
    ending: { kind: 'returned', payload: payloadOf('"done"') },
    refusal: undefined,
    logTail: '',
    call: (action, params = {}) => harness.send(tc3Request(action, params, harness.clockMs)),
    callLegacy: (action, params = {}) =>
      harness.send(legacyRequest(action, params, harness.clockMs, (nonce += 1))),
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

/** An action of API 3.0, signed and ready to be sent. */
export function tc3Request(
  action: string,
  params: object | Buffer,
  clockMs: number,
  more: Readonly<Record<string, string>> = {},
): RawRequest {
  const body = Buffer.isBuffer(params) ? params : Buffer.from(JSON.stringify(params))
  const headers: Record<string, string> = {
    host: HOST,
    'content-type': 'application/json',
    'x-tc-action': action,
    'x-tc-version': VERSION,
    'x-tc-timestamp': String(Math.floor(clockMs / 1000)),
    'x-tc-region': 'ap-guangzhou',
    ...more,
  }
  headers['authorization'] ??= signTc3({ method: 'POST', headers, body })
  return { headers, body }
}

/** An action of the legacy API, signed and ready to be sent. */
export function legacyRequest(
  action: string,
  params: object,
  clockMs: number,
  nonce: number,
  method: 'GET' | 'POST' = 'POST',
): RawRequest {
  const path = '/v2/index.php'
  const common = {
    Action: action,
    Region: 'gz',
    Timestamp: String(Math.floor(clockMs / 1000)),
    Nonce: String(nonce),
    SecretId: SECRET_ID,
  }
  const signed = signParameters(method, path, { ...flatten(params), ...common }, HOST)
  const form = new URLSearchParams(signed).toString()
  return method === 'GET'
    ? { method, path, query: form, headers: { host: HOST } }
    : {
        path,
        headers: { host: HOST, 'content-type': 'application/x-www-form-urlencoded' },
        body: form,
      }
}

/** A zip with one file, as base64 text. */
export async function zipOf(source = 'exports.main_handler = () => 1\n', file = 'index.js'): Promise<string> {
  return (await zipOfFiles({ [file]: source })).toString('base64')
}

/** The parameters every CreateFunction needs. */
export async function functionParams(
  FunctionName: string,
  more: Readonly<Record<string, unknown>> = {},
): Promise<object> {
  const Code = { ZipFile: await zipOf() }
  return { FunctionName, Runtime: 'Nodejs18.15', Handler: 'index.main_handler', Code, ...more }
}

export function exchangeOf(request: RawRequest, nowMs: number): Exchange {
  const { method = 'POST', path = '/', query = '', headers = {}, body = '' } = request
  const bytes = Buffer.from(body)
  return {
    method,
    rawPath: path,
    rawQuery: query,
    headers,
    receivedAtMs: nowMs,
    caller: patientCaller(),
    readBody: async (limitBytes) => {
      if (bytes.length > limitBytes) throw new EngineError('caller/payload-too-large', { limitBytes })
      return payloadOf(bytes)
    },
  }
}

function fits(filter: CallFilter, { requestId, version, endedAtMs }: CallRecord): boolean {
  return (
    (filter.requestId === undefined || filter.requestId === requestId) &&
    (filter.version === undefined || filter.version === version) &&
    (filter.fromMs === undefined || filter.fromMs <= endedAtMs) &&
    (filter.toMs === undefined || filter.toMs > endedAtMs)
  )
}

function outcomeOf(harness: Harness, request: InvokeRequest): Outcome {
  const version = harness.catalogue.resolve(request.target)
  return {
    version,
    instanceId: 'c-00000001-00000002-000000000003',
    coldStart: false,
    durationMs: 1.1594,
    billedDurationMs: 2,
    initDurationMs: 0,
    maxMemoryBytes: 9.5 * 1024 * 1024,
    logTail: () => (typeof harness.logTail === 'string' ? Buffer.from(harness.logTail) : harness.logTail),
    ...harness.ending,
  }
}

function replyOf({ status, headers, body }: Reply): TestReply {
  if (body === undefined || !('chunks' in body)) throw new TypeError('the answer has no body')
  const json: unknown = JSON.parse(toBuffer(body).toString())
  if (!isJsonObject(json)) throw new TypeError('the answer is no JSON object')
  const response = isJsonObject(json['Response']) ? json['Response'] : {}
  const error = isJsonObject(response['Error']) ? response['Error'] : undefined
  const isLegacyFailure = error === undefined && json['code'] !== undefined && json['code'] !== 0
  return {
    status,
    headers,
    json,
    response,
    code: error?.['Code'] ?? (isLegacyFailure ? json['code'] : undefined),
    message: error?.['Message'] ?? (isLegacyFailure ? json['message'] : undefined),
  }
}
