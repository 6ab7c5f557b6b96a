import type { CallRecord, EndedCall } from '../model/call-record.ts'
import { isJsonObject, parsedJson } from '../model/json.ts'

/** A line of a function's log file, as it is found again. */
export type LogLine =
  /** A part of the log of a call that had not ended yet. */
  | {
      readonly kind: 'piece'
      readonly atMs: number
      readonly requestId: string
      readonly piece: number
      readonly text: string
    }
  /** The end of a call, with what it logged after its pieces. */
  | { readonly kind: 'call'; readonly record: CallRecord; readonly pieces: number }

type EndingKind = CallRecord['ending']

const ENDINGS: Readonly<Record<EndingKind, true>> = {
  returned: true,
  threw: true,
  timedOut: true,
  crashed: true,
  initFailed: true,
  cancelled: true,
  terminated: true,
}

/** @param piece Counts the pieces of the call from 1. */
export function renderPiece(
  atMs: number,
  version: string,
  requestId: string,
  piece: number,
  text: string,
): string {
  return `${JSON.stringify({ atMs, requestId, version, piece, text })}\n`
}

/**
 * Put together by hand: that takes half as long as `JSON.stringify` of an object with so many members, and every call has a line.
 *
 * @param pieces How many pieces of the call were rendered before.
 */
export function renderCall(atMs: number, version: string, call: EndedCall, pieces: number): string {
  const { requestId, ending, reason, durationMs, billedDurationMs, maxMemoryBytes, retryCount, result } = call
  let line = `{"atMs":${atMs},"requestId":${JSON.stringify(requestId)},"version":${JSON.stringify(version)},"ending":"${ending}"`
  if (reason !== undefined) line += `,"reason":${JSON.stringify(reason)}`
  line += `,"durationMs":${toMicroseconds(durationMs)},"billedDurationMs":${billedDurationMs},"maxMemoryBytes":${maxMemoryBytes}`
  // Members that almost always say the same are left out then.
  if (retryCount !== 0) line += `,"retryCount":${retryCount}`
  if (pieces !== 0) line += `,"pieces":${pieces}`
  if (result !== undefined) line += `,"result":${JSON.stringify(result)}`
  return `${line},"text":${JSON.stringify(call.log)}}\n`
}

/** A line that says how many bytes of text were lost. */
export function renderLoss(atMs: number, droppedBytes: number): string {
  return `${JSON.stringify({ atMs, droppedBytes })}\n`
}

/** Undefined for a line that is cut, that tells of a loss, or that anybody else wrote. */
export function parseLine(line: string): LogLine | undefined {
  const members = parsedJson(line)
  if (!isJsonObject(members)) return undefined
  const { atMs, requestId, version, text, piece, ending, reason, result } = members
  if (typeof atMs !== 'number' || typeof requestId !== 'string') return undefined
  if (typeof version !== 'string' || typeof text !== 'string') return undefined
  if (typeof piece === 'number') return { kind: 'piece', atMs, requestId, piece, text }
  if (!isEnding(ending)) return undefined
  return {
    kind: 'call',
    pieces: numberOf(members['pieces']),
    record: {
      requestId,
      version,
      endedAtMs: atMs,
      ending,
      ...(typeof reason === 'string' ? { reason } : {}),
      durationMs: numberOf(members['durationMs']),
      billedDurationMs: numberOf(members['billedDurationMs']),
      maxMemoryBytes: numberOf(members['maxMemoryBytes']),
      retryCount: numberOf(members['retryCount']),
      log: text,
      ...(typeof result === 'string' ? { result } : {}),
    },
  }
}

/** Fractions beyond a microsecond are noise, and long to write. */
function toMicroseconds(durationMs: number): number {
  return Math.round(durationMs * 1000) / 1000
}

function isEnding(value: unknown): value is EndingKind {
  return typeof value === 'string' && Object.hasOwn(ENDINGS, value)
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0
}
