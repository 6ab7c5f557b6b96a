import { isUtf8 } from 'node:buffer'
import { failureOf } from '../../contracts/huawei-functiongraph.ts'
import type { Reply } from '../../http/exchange.ts'
import { PARSED_BODY_BYTES } from '../../intake/large-body.ts'
import { parsedJson } from '../../model/json.ts'
import type { Outcome } from '../../model/outcome.ts'
import { EMPTY_PAYLOAD, payloadOf, toBuffer, type Payload } from '../../model/payload.ts'
import { utf8End, utf8OrBase64 } from '../../model/utf8.ts'
import { shownVersion } from './names.ts'
import { answerReply } from './replies.ts'
import { gatewayId } from './request-head.ts'

/** Of the log's end in the answer's header. Source: the vendor's description of X-Cff-Function-Log. */
const HEADER_LOG_BYTES = 2000

const BYTES_PER_MB = 1024 * 1024
const BRACE = 0x7b
const BRACKET = 0x5b

/** What a synchronous caller asked for beside the result. */
export interface Wishes {
  readonly wantsLog: boolean
  readonly version: 'v0' | 'v1'
}

/** The answer of a run through a reserved instance: which one it was. */
export function reservedReply(outcome: Outcome, requestId: string): Reply {
  return answerReply(
    {
      status: 200,
      body: { instance_id: outcome.instanceId },
      headers: { 'X-Cff-Request-Id': requestId },
    },
    requestId,
  )
}

/** A function that failed is a 200 with `X-Is-Func-Err`: a client would throw the details of anything else away. */
export function resultReply(outcome: Outcome, requestId: string, { wantsLog, version }: Wishes): Reply {
  const { durationMs, billedDurationMs, maxMemoryBytes } = outcome
  const failure = failureOf(outcome)
  const log = wantsLog ? outcome.logTail() : undefined
  const summary = {
    duration: rounded(durationMs),
    billingDuration: billedDurationMs,
    memorySize: outcome.version.memoryMib,
    memoryUsed: rounded(maxMemoryBytes / BYTES_PER_MB),
  }
  const headers: Record<string, string> = {
    'X-Request-Id': gatewayId(requestId),
    'X-Cff-Request-Id': requestId,
    'X-Cff-Invoke-Summary': JSON.stringify(summary),
    'X-CFF-Billing-Duration': String(billedDurationMs),
    'X-Cff-Response-Version': version,
    'X-Func-Err-Code': String(failure?.code ?? 0),
    'X-Is-Func-Err': String(failure?.isFunctionFault ?? false),
    'X-Cff-Function-Version': shownVersion(outcome.version.version),
    'Content-Type': 'application/json',
  }
  if (log !== undefined) headers['X-Cff-Function-Log'] = log.subarray(-HEADER_LOG_BYTES).toString('base64')
  const body = failure === undefined ? resultOf(outcome) : payloadOf(failure.body)
  if (version === 'v1') {
    const content = {
      request_id: requestId,
      result: utf8OrBase64(toBuffer(body)),
      log: log === undefined ? '' : utf8End(log),
      status: failure === undefined ? 200 : 500,
    }
    return { status: 200, headers, body: payloadOf(JSON.stringify(content)) }
  }
  headers['Content-Type'] = contentTypeOf(body)
  return { status: 200, headers, body }
}

function resultOf(outcome: Outcome): Payload {
  return outcome.kind === 'returned' ? outcome.payload : EMPTY_PAYLOAD
}

/** What a result is served as: objects and lists are not looked into. */
function contentTypeOf(payload: Payload): string {
  const first = payload.chunks[0]?.[0]
  if (first === undefined || first === BRACE || first === BRACKET) return 'application/json'
  if (payload.byteLength > PARSED_BODY_BYTES) return 'application/octet-stream'
  const bytes = toBuffer(payload)
  if (!isUtf8(bytes)) return 'application/octet-stream'
  return parsedJson(bytes.toString()) === undefined ? 'text/plain; charset=utf-8' : 'application/json'
}

/** To a thousandth. */
function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}
