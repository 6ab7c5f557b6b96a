import type { Outcome } from '../model/outcome.ts'
import { EMPTY_PAYLOAD, type Payload } from '../model/payload.ts'
import { RESULT_BYTES, type TaskResult } from '../store/task-queue.ts'

/** What is kept of a run: the beginning of its answer or its error, the end of its log, and its figures. */
export function taskResultOf(outcome: Outcome): TaskResult {
  const payload = 'payload' in outcome ? outcome.payload : EMPTY_PAYLOAD
  const { kind, durationMs, billedDurationMs, maxMemoryBytes, instanceId, version } = outcome
  return {
    payload: beginningOf(payload, RESULT_BYTES),
    isCut: payload.byteLength > RESULT_BYTES,
    logTail: outcome.logTail(),
    kind,
    durationMs,
    billedDurationMs,
    maxMemoryBytes,
    instanceId,
    version: version.version,
  }
}

function beginningOf({ chunks, byteLength }: Payload, maxBytes: number): Buffer {
  return Buffer.concat(chunks, Math.min(byteLength, maxBytes))
}
