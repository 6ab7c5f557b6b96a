import { accountFunctions } from '../../definitions/namespaces.ts'
import type { FunctionRecord } from '../../store/definition-store.ts'
import {
  bucketsOf,
  dayOf,
  missingSeries,
  reportSpanOf,
  seriesOf,
  spanOf,
  type CallFigures,
} from './buckets.ts'
import { FssError } from './errors.ts'
import { historyTurns } from './history-turns.ts'
import { pageMembers, pageOf } from './paging.ts'
import type { Call, JsonObject, Operation, Rooms } from './operation.ts'
import { namesLatest, requireAt, urnOf } from './target.ts'
import { formatUrn } from './urn.ts'

/** Calls that a report looks at, of one function: figures come from kept logs, which are read for it. */
const MAX_CALLS = 10_000

/** Functions whose logs a report of all functions reads. */
const MAX_FUNCTIONS = 100

const DAY_MS = 86_400_000
const MIB_PER_GB = 1024

const PAGES = { lengthName: 'limit', default: 100, max: 500 } as const

/** GET F/statistics: of all functions, `filter=monitor_data` over the last `period` minutes or `filter=monthly_report` by day. */
export const listStatistics: Operation = async (call, rooms) => {
  const { query } = call
  switch (query.get('filter') ?? '') {
    case 'monitor_data': {
      const span = spanOf(query.get('period') ?? '', rooms.now())
      const calls = await allCalls(call, rooms, span)
      return {
        status: 200,
        body: {
          statistics: seriesOf(
            span,
            calls.map(({ record }) => record),
          ),
        },
      }
    }
    case 'monthly_report':
      return { status: 200, body: await monthlyReport(call, rooms) }
    default:
      throw new FssError('FSS.1001', 'invalid parameter filter (allowed: monitor_data | monthly_report)')
  }
}

/** GET F/U/statistics/{period}: over so many minutes back; without a version of all versions. */
export const listFunctionStatistics: Operation = async (call, rooms) => ({
  status: 200,
  body: await functionSeries(call, rooms),
})

/** GET F/U/slareports/{period}: the same, and the number of instances, which nothing counts here. */
export const showFunctionMetrics: Operation = async (call, rooms) => {
  const span = spanOf(call.params['period'] ?? '', rooms.now())
  return {
    status: 200,
    body: { ...(await functionSeries(call, rooms)), instance_num: missingSeries(bucketsOf(span)) },
  }
}

/** GET /fgs/function/report: functions that failed most, between `start_time` and `end_time`, by default in the last day. */
export const listFunctionAsMetric: Operation = async (call, rooms) => {
  const { query } = call
  const type = query.get('type') || 'failcount'
  if (type !== 'failcount') throw new FssError('FSS.1001', 'invalid parameter type (allowed: failcount)')
  const toMs = momentOf(query, 'end_time') ?? rooms.now() + 1
  const fromMs = momentOf(query, 'start_time') ?? toMs - DAY_MS
  const failures = new Map<FunctionRecord, number>()
  for (const { head, record } of await allCalls(call, rooms, { fromMs, toMs }))
    if (record.ending !== 'returned') failures.set(head, (failures.get(head) ?? 0) + 1)
  const values = [...failures]
    .sort(([, a], [, b]) => b - a)
    .map(([head, value]) => ({ key: formatUrn(call, head), value }))
  const page = pageOf(query, values, PAGES)
  return { status: 200, body: { values: page.items, ...pageMembers(page) } }
}

async function functionSeries(call: Call, { catalogue, history, now }: Rooms): Promise<JsonObject> {
  const urn = urnOf(call)
  const { account, namespace, name, version } = requireAt(catalogue, call.accountId, urn).value
  const span = spanOf(call.params['period'] ?? '', now())
  const isOneVersion = urn.qualifier !== undefined || namesLatest(call)
  const { fromMs, toMs } = span
  const filter = { account, namespace, name, fromMs, toMs, ...(isOneVersion && { version }) }
  return seriesOf(span, await historyTurns.run(() => history.find(filter, MAX_CALLS)))
}

async function monthlyReport(call: Call, rooms: Rooms): Promise<JsonObject> {
  const span = reportSpanOf(call.query.get('option') || '0', rooms.now())
  if (span === undefined) throw new FssError('FSS.1001', 'invalid parameter option (allowed: 0 - 3)')
  const days = new Map<string, { count: number; gbSeconds: number }>()
  for (const { head, record } of await allCalls(call, rooms, span)) {
    const day = dayOf(record.endedAtMs)
    const used = days.get(day) ?? { count: 0, gbSeconds: 0 }
    used.count += 1
    // By the memory the function has now: what it had at the call is not kept.
    used.gbSeconds += (head.spec.memoryMib / MIB_PER_GB) * (record.billedDurationMs / 1000)
    days.set(day, used)
  }
  const sorted = [...days].sort(([a], [b]) => (a < b ? -1 : 1))
  return {
    count: sorted.map(([date, { count }]) => ({ date, value: count })),
    gbs: sorted.map(([date, { gbSeconds }]) => ({ date, value: Math.round(gbSeconds * 1000) / 1000 })),
    gpu_gbs: [],
  }
}

/** The calls of an account's functions, up to bounds: each function's newest. */
async function allCalls(
  call: Call,
  { catalogue, history }: Rooms,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): Promise<readonly { head: FunctionRecord; record: CallFigures }[]> {
  const found: { head: FunctionRecord; record: CallFigures }[] = []
  for (const head of accountFunctions(catalogue, call.accountId).slice(0, MAX_FUNCTIONS)) {
    const { account, namespace, name } = head
    const filter = { account, namespace, name, fromMs, toMs }
    const calls = await historyTurns.run(() => history.find(filter, MAX_CALLS))
    // Without their logs, which of all functions together may be long.
    for (const { endedAtMs, ending, durationMs, billedDurationMs } of calls)
      found.push({ head, record: { endedAtMs, ending, durationMs, billedDurationMs } })
  }
  return found
}

/** Milliseconds since 1970, or a date as it is written elsewhere. @throws {FssError} `FSS.1001` */
function momentOf(query: Call['query'], name: string): number | undefined {
  const text = query.get(name) ?? ''
  if (text === '') return undefined
  const ms = /^\d{1,15}$/.test(text) ? Number(text) : Date.parse(text)
  if (Number.isNaN(ms)) throw new FssError('FSS.1001', `invalid parameter ${name}`)
  return ms
}
