import { setImmediate } from 'node:timers/promises'
import { accountFunctions } from '../../definitions/namespaces.ts'
import { QUOTA, requireQuota } from '../../definitions/quotas.ts'
import { documentKey } from '../../engine/keys.ts'
import type { CallRecord } from '../../model/call-record.ts'
import type { FunctionRecord } from '../../store/definition-store.ts'
import { FssError } from './errors.ts'
import { booleanField, integerField, mapField, stringField } from './fields.ts'
import { historyTurns } from './history-turns.ts'
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

/** Lines that are looked at before others get their turn: a few milliseconds. */
const LINES_PER_TURN = 10_000

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
  const wishes: Wishes = {
    fromMs: integerField(body, 'start_time', time),
    toMs: integerField(body, 'end_time', time),
    keywords: stringField(body, 'keywords') ?? '',
    labels: Object.entries(mapField(body, 'labels') ?? {}),
    limit: integerField(body, 'limit', { min: 0, max: MAX_LINES }) || DEFAULT_LINES,
    isNewestFirst: booleanField(body, 'is_desc') ?? false,
    isCounted: booleanField(body, 'is_count') ?? false,
  }
  const functions = requireStream(call, rooms)
  const { count, logs } = await historyTurns.run(async () =>
    linesOf(call, await callsOf(functions, rooms, wishes), wishes),
  )
  return { status: 200, body: { ...(wishes.isCounted && { count }), logs } }
}

/** What a query asks for. */
interface Wishes {
  readonly fromMs: number | undefined
  readonly toMs: number | undefined
  readonly keywords: string
  readonly labels: readonly (readonly [string, string])[]
  /** Lines of the answer. */
  readonly limit: number
  readonly isNewestFirst: boolean
  /** Whether all lines that fit are counted, beyond those of the answer. */
  readonly isCounted: boolean
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
  { fromMs, toMs }: Wishes,
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

/** The lines of some calls that fit, up to the limit. Waits now and then: there may be millions of them. */
async function linesOf(
  call: Call,
  calls: readonly LoggedCall[],
  { keywords, labels: wanted, limit, isNewestFirst, isCounted }: Wishes,
): Promise<{ count: number; logs: readonly LogLine[] }> {
  const logs: LogLine[] = []
  let count = 0
  let looked = 0
  for (const each of isNewestFirst ? calls.toReversed() : calls) {
    const labels = labelsOf(call, each)
    if (!wanted.every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value)) continue
    const lines = each.record.log.replace(/\n$/, '').split('\n')
    const start = `${each.record.endedAtMs}${String(each.place).padStart(4, '0')}`
    for (const at of lines.keys()) {
      if (logs.length >= limit && !isCounted) return { count, logs }
      looked += 1
      if (looked % LINES_PER_TURN === 0) await setImmediate()
      const number = isNewestFirst ? lines.length - 1 - at : at
      const content = lines[number] ?? ''
      if (!content.includes(keywords)) continue
      count += 1
      if (logs.length < limit)
        logs.push({ content, labels, line_num: start + String(number).padStart(7, '0') })
    }
  }
  return { count, logs }
}

function labelsOf(call: Call, { head, record }: LoggedCall): Readonly<Record<string, string>> {
  return {
    functionName: head.name,
    package: head.namespace,
    version: shownVersion(record.version),
    requestId: record.requestId,
    functionUrn: formatUrn(call, head, record.version),
  }
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
