import { accountFunctions } from '../../definitions/namespaces.ts'
import { QUOTA, requireQuota } from '../../definitions/quotas.ts'
import { documentKey } from '../../engine/keys.ts'
import type { CallRecord } from '../../model/call-record.ts'
import type { FunctionRecord } from '../../store/store.ts'
import { FssError } from './errors.ts'
import { booleanField, integerField, mapField, stringField } from './fields.ts'
import { logPlaceOf } from './log-places.ts'
import { shownVersion } from './names.ts'
import { DIALECT, type Call, type Operation, type Rooms } from './operation.ts'
import { requireAt, urnOf } from './target.ts'
import { formatUrn } from './urn.ts'

/** The member of an account's documents that says logging was switched on. */
const ENABLED = 'lts-logs'

/** Lines of one answer. Source: the vendor's description of its log service. */
const DEFAULT_LINES = 50
const MAX_LINES = 5000

/** Calls of one function, and functions of one stream, that a query looks at: their lines are read from files. */
const MAX_CALLS = 10_000
const MAX_FUNCTIONS = 20

/** GET F/U/lts-log-detail */
export const showLtsLogDetails: Operation = (call, { catalogue }) => {
  const place = logPlaceOf(requireAt(catalogue, call.accountId, urnOf(call)).value)
  return {
    status: 200,
    body: {
      group_name: place.groupName,
      group_id: place.groupId,
      stream_id: place.streamId,
      stream_name: place.streamName,
    },
  }
}

/** POST F/enable-lts-logs: once per account; logs are kept with or without it. @throws {FssError} `FSS.1221`: it is on */
export const enableLtsLogs: Operation = async (call, { catalogue, now }) => {
  await catalogue.change((draft) => {
    const key = documentKey(call.accountId, '', DIALECT, ENABLED)
    if (draft.get('document', key) !== undefined) throw new FssError('FSS.1221', 'LTS log has been enabled')
    requireQuota(draft, 'document', `${call.accountId}/`, QUOTA.documentsPerAccount, 'documents')
    const nowMs = now()
    draft.put('document', key, {
      account: call.accountId,
      owner: '',
      name: ENABLED,
      content: {},
      createdAtMs: nowMs,
      modifiedAtMs: nowMs,
    })
  })
  return { status: 200 }
}

/**
 * POST /groups/{group_id}/streams/{stream_id}/content/query, of the vendor's log service: the lines that calls of the stream's
 * functions logged, oldest first.
 *
 * The body: `start_time`, `end_time` (epoch milliseconds, by the end of a call), `keywords` (a part of a line), `labels`,
 * `limit` (1 – 5000 lines, default 50), `is_desc`, `is_count`.
 *
 * @throws {FssError} `FSS.0404`: there is no such stream
 */
export const listLogs: Operation = async (call, rooms) => {
  const { body } = call
  const time = { min: 0, max: Number.MAX_SAFE_INTEGER }
  const fromMs = integerField(body, 'start_time', time)
  const toMs = integerField(body, 'end_time', time)
  const keywords = stringField(body, 'keywords') ?? ''
  const labels = Object.entries(mapField(body, 'labels') ?? {})
  const limit = integerField(body, 'limit', { min: 0, max: MAX_LINES }) || DEFAULT_LINES
  const isNewestFirst = booleanField(body, 'is_desc') ?? false
  const isCounted = booleanField(body, 'is_count') ?? false
  const calls = await callsOf(requireStream(call, rooms), rooms, fromMs, toMs)
  if (isNewestFirst) calls.reverse()
  const fits = (line: LogLine): boolean =>
    line.content.includes(keywords) &&
    labels.every(([key, value]) => Object.hasOwn(line.labels, key) && line.labels[key] === value)
  const logs: LogLine[] = []
  let count = 0
  for (const each of calls) {
    if (logs.length >= limit && !isCounted) break
    const lines = linesOf(call, each).filter(fits)
    count += lines.length
    if (isNewestFirst) lines.reverse()
    for (const line of lines.slice(0, limit - logs.length)) logs.push(line)
  }
  return { status: 200, body: { ...(isCounted && { count }), logs } }
}

/** A line as answers show it. */
interface LogLine {
  readonly content: string
  readonly labels: Readonly<Record<string, string>>
  /** Unique in its stream, and grows with time, as in the vendor's service. */
  readonly line_num: string
}

interface LoggedCall {
  readonly head: FunctionRecord
  readonly record: CallRecord
  /** Its place among the calls that ended within the same millisecond. */
  readonly place: number
}

/** The calls that logged to a stream, oldest first. */
async function callsOf(
  functions: readonly FunctionRecord[],
  { history }: Rooms,
  fromMs: number | undefined,
  toMs: number | undefined,
): Promise<LoggedCall[]> {
  const found: { head: FunctionRecord; record: CallRecord }[] = []
  for (const head of functions.slice(0, MAX_FUNCTIONS)) {
    const { account, namespace, name } = head
    const range = {
      ...(fromMs !== undefined && { fromMs }),
      // The range of this API includes its end.
      ...(toMs !== undefined && { toMs: toMs + 1 }),
    }
    const records = await history.find({ account, namespace, name, ...range }, MAX_CALLS)
    for (const record of records.toReversed()) found.push({ head, record })
  }
  found.sort((a, b) => a.record.endedAtMs - b.record.endedAtMs)
  let place = 0
  return found.map((each, at) => {
    place = found[at - 1]?.record.endedAtMs === each.record.endedAtMs ? place + 1 : 0
    return { ...each, place }
  })
}

function linesOf(call: Call, { head, record, place }: LoggedCall): LogLine[] {
  const { log, requestId, version, endedAtMs } = record
  const labels = {
    functionName: head.name,
    package: head.namespace,
    version: shownVersion(version),
    requestId,
    functionUrn: formatUrn(call, head, version),
  }
  const start = `${endedAtMs}${String(place).padStart(4, '0')}`
  return log
    .replace(/\n$/, '')
    .split('\n')
    .map((content, at) => ({ content, labels, line_num: start + String(at).padStart(7, '0') }))
}

/** The functions that log to the stream the path names. */
function requireStream(call: Call, { catalogue }: Rooms): readonly FunctionRecord[] {
  const { group_id: groupId, stream_id: streamId } = call.params
  const found = accountFunctions(catalogue, call.accountId).filter((record) => {
    const place = logPlaceOf(record)
    return place.groupId === groupId && place.streamId === streamId
  })
  if (found.length === 0) throw new FssError('FSS.0404', 'not found the log stream')
  return found
}
