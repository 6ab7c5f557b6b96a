import type { TaskDetails, TaskRecord } from '../../src/store/task-queue.ts'
import { NAMESPACE, TOLD, type Door } from './functions.ts'
import { orderedFailures, labelOf, type CallRecord, type Ledger } from './ledger.ts'
import type { viewStore } from './store-view.ts'

/** Runs that a task may lose beyond its repeats before it is given up: see I4 and I5 of `src/async/README.md`. */
const LOST_RUN_ALLOWANCE = 10

/** How the server says that a call came in. */
const SOURCES: Readonly<Record<Door, string>> = {
  'fc-own-id': 'stateful',
  fc: 'stateful',
  'fc-plain': '',
  functiongraph: '',
  scf: 'API',
}

type Final = Awaited<ReturnType<typeof viewStore>>

/** What came of everything, in numbers. */
export interface Verdict {
  readonly accepted: number
  readonly refused: number
  /** No answer came, and none was asked for again. */
  readonly unknown: number
  /** Those of them that were there. */
  readonly unknownThere: number
  readonly endings: Readonly<Record<string, number>>
  readonly runs: number
  /** Runs that the functions told of beyond the attempts that the server recorded, and what it counted itself. */
  readonly duplicatesSeen: number
  readonly duplicatesCounted: number
  readonly lostRunsCounted: number
  /** Calls that were given up because too many of their runs were lost. */
  readonly givenUp: number
  readonly stopsAnswered: number
  readonly endingsTold: number
  /** Tellings beyond the first of an ending. */
  readonly toldAgain: number
}

export interface Evidence {
  readonly ledger: Ledger
  /** The queue, after the end of the last server. */
  readonly final: Final
  /** Moments at which processes below the server were killed. */
  readonly workerKillsMs: readonly number[]
  /** Those at which the server was. */
  readonly serverKillsMs: readonly number[]
}

/** Compares what callers, functions and destinations saw with what the server has kept. What does not fit goes into the ledger. */
export function judge(evidence: Evidence): Verdict {
  const { ledger, final } = evidence
  const calls = [...ledger.calls.values()]
  const strangers = strangersOf(ledger, final.tasks)
  for (const call of calls) judgeCall(call, evidence, strangers)
  for (const requestId of strangers.values())
    ledger.violate(`the server has a call that nobody handed over: ${requestId}`)
  judgeTold(ledger, final)
  judgeCounters(ledger, final)
  const endings: Record<string, number> = {}
  for (const { ended } of calls) if (ended !== undefined) add(endings, ended.ending ?? '', 1)
  const sum = (of: (counters: Final['counters'][number]) => number): number =>
    final.counters.reduce((total, counters) => total + of(counters), 0)
  return {
    accepted: count(calls, 'accepted'),
    refused: count(calls, 'refused'),
    unknown: count(calls, 'unknown'),
    unknownThere: calls.filter((call) => call.submission === 'unknown' && call.requestId !== undefined)
      .length,
    endings,
    runs: ledger.runs.size,
    duplicatesSeen: calls.reduce((total, call) => total + extraRuns(call, final.tasks), 0),
    duplicatesCounted: sum(({ duplicates }) => duplicates),
    lostRunsCounted: [...final.tasks.values()].reduce((total, { lostRuns }) => total + lostRuns, 0),
    givenUp: [...final.tasks.values()].filter(({ lastError }) => lastError === 'runsLost').length,
    stopsAnswered: calls.filter(({ stop }) => stop === 'stopped').length,
    endingsTold: ledger.told.size,
    toldAgain: [...ledger.told.values()].reduce((total, { times }) => total + times - 1, 0),
  }
}

/** Tasks that no caller has an answer for, but for those that destinations got. Their callers are found by their runs. */
function strangersOf(ledger: Ledger, tasks: ReadonlyMap<string, TaskRecord>): Set<string> {
  const calls = [...ledger.calls.values()]
  const known = new Set(calls.map(({ requestId }) => requestId))
  const strangers = new Set(
    [...tasks.values()]
      .filter(({ requestId, functionName }) => functionName !== TOLD && !known.has(requestId))
      .map(({ requestId }) => requestId),
  )
  const unanswered = calls.filter((call) => call.submission === 'unknown' && call.requestId === undefined)
  for (const call of unanswered) {
    const [run] = call.runs
    if (run === undefined || !strangers.delete(run.requestId)) continue
    call.requestId = run.requestId
  }
  // One that never ran is told by its function and its API alone: it can only be one of those that got no answer.
  const ran = new Set([...ledger.runs.values()].map(({ requestId }) => requestId))
  for (const requestId of strangers) {
    if (ran.has(requestId)) continue
    const { functionName, source = '' } = tasks.get(requestId) ?? {}
    const call = unanswered.find(
      ({ plan, requestId: id, runs }) =>
        id === undefined &&
        runs.length === 0 &&
        plan.target.name === functionName &&
        SOURCES[plan.door] === source,
    )
    if (call === undefined) continue
    call.requestId = requestId
    call.isGuessed = true
    strangers.delete(requestId)
  }
  return strangers
}

function judgeCall(call: CallRecord, evidence: Evidence, strangers: ReadonlySet<string>): void {
  const { ledger, final } = evidence
  const label = labelOf(call)
  const violate = (words: string): void => ledger.violate(`${label} ${words}`)
  const { submission, requestId, runs, ended } = call
  if (submission === 'refused' || submission === 'unsent') {
    if (runs.length > 0) violate(`was ${submission}, and ran`)
    return
  }
  const otherIds = [...new Set(runs.map((run) => run.requestId))].filter((id) => id !== requestId)
  if (otherIds.length > 0) violate(`ran under other ids: ${otherIds.join(', ')}`)
  if (requestId === undefined || strangers.has(requestId)) return
  const task = final.tasks.get(requestId)
  if (task === undefined) return violate('is not in the queue any more: lost')
  if (task.status === 'waiting' || task.status === 'running') return violate(`has not ended: ${task.status}`)
  if (submission === 'unknown') call.ended ??= { ending: task.status, words: task.status }
  else if (ended?.ending !== shownEnding(call, task))
    violate(`is ${task.status} in the queue and ${ended?.ending ?? 'open'} through the API: settled twice`)
  judgeEnding(call, task, evidence, violate)
  judgeRuns(call, task, final.details.get(requestId), violate)
}

/** What an API calls the ending. SCF tells of a run that failed in the time that a stop gave it as of any that failed. */
function shownEnding({ plan, ended }: CallRecord, { status }: TaskRecord): TaskRecord['status'] {
  const failedInGrace = plan.target.lingers === true && status === 'cancelled' && ended?.ending === 'failed'
  return failedInGrace ? 'failed' : status
}

/** Whether it may have ended so: by what its function does, by a stop, or by kills. */
function judgeEnding(
  call: CallRecord,
  task: TaskRecord,
  evidence: Evidence,
  violate: (words: string) => void,
): void {
  const { plan, stop, runs } = call
  const { kind, maxRetries } = plan.target
  const succeeded = runs.some(({ order, hasEnded }) => order === 'succeed' && hasEnded)
  if (stop === 'stopped' && task.status !== 'cancelled') violate(`was stopped, and is ${task.status}`)
  switch (task.status) {
    case 'succeeded':
      if (!succeeded) violate('succeeded without a run that did')
      return
    case 'cancelled':
      if (stop === undefined) violate('is cancelled, and nobody asked for that')
      return
    case 'failed': {
      if (kind === 'failing' || kind === 'dying') return
      const from = call.acceptedAtMs ?? 0
      const kills = (moments: readonly number[]): number =>
        moments.filter((atMs) => atMs > from && atMs < (call.overAtMs ?? Number.POSITIVE_INFINITY)).length
      // A run that was lost with the server is no failure.
      const mayBeKilled = orderedFailures(call) + kills(evidence.workerKillsMs) > maxRetries
      const mayBeLost = kills(evidence.serverKillsMs) > maxRetries + LOST_RUN_ALLOWANCE
      if (!mayBeKilled && !mayBeLost) violate(`failed without a reason (${task.lastError ?? ''})`)
      return
    }
    case 'expired':
    case 'waiting':
    case 'running':
      violate(`is ${task.status}`)
  }
}

/** Every run that was no attempt has to be one that the server knows it has lost, or interrupted. */
function judgeRuns(
  call: CallRecord,
  task: TaskRecord,
  details: TaskDetails | undefined,
  violate: (words: string) => void,
): void {
  const { runs, plan } = call
  const interrupted = (details?.history ?? [])
    .filter(({ how }) => how === 'interrupted' || how === 'refused')
    .reduce((sum, { count: times = 1 }) => sum + times, 0)
  // One that was to be stopped when its server died has ended by that, and its run is not counted.
  const stopped = task.status === 'cancelled' ? 1 : 0
  const explained = task.attempts + task.lostRuns + interrupted + stopped
  if (runs.length > explained)
    violate(
      `ran ${runs.length} times, of which ${explained} are known (${task.attempts} attempts, ${task.lostRuns} lost)`,
    )
  if (task.attempts > plan.target.maxRetries + 1) violate(`had ${task.attempts} attempts`)
}

function extraRuns({ requestId = '', runs }: CallRecord, tasks: ReadonlyMap<string, TaskRecord>): number {
  return Math.max(0, runs.length - (tasks.get(requestId)?.attempts ?? 0))
}

/** Each ending that has a destination was told there, under one id. */
function judgeTold(ledger: Ledger, { tasks, deliveries }: Final): void {
  for (const call of ledger.calls.values()) {
    const { plan, requestId = '', isGuessed = false } = call
    const task = tasks.get(requestId)
    if (task === undefined || isGuessed) continue
    const told = ledger.told.get(requestId)
    const isToBeTold = plan.tells !== undefined && task.status !== 'cancelled'
    if (isToBeTold && told === undefined) ledger.violate(`${labelOf(call)}: its ending was not told`)
    if (!isToBeTold && told !== undefined)
      ledger.violate(`${labelOf(call)}: its ending was told, to nobody's wish`)
    if (told === undefined) continue
    if (told.ids.size > 1) ledger.violate(`${labelOf(call)}: its ending was told under ${told.ids.size} ids`)
    const hasCondition = !told.conditions.has('')
    if (told.conditions.size > 1 || hasCondition === (task.status === 'succeeded'))
      ledger.violate(`${labelOf(call)} is ${task.status}, and told as '${[...told.conditions].join(`', '`)}'`)
  }
  const causes = new Set([...ledger.calls.values()].map(({ requestId }) => requestId))
  for (const cause of ledger.told.keys())
    if (!causes.has(cause)) ledger.violate(`the ending of a call was told that nobody made: ${cause}`)
  for (const { requestId, status, lastError = '' } of deliveries)
    ledger.violate(`the telling of ${requestId} is ${status}: ${lastError}`)
}

/** What the server counted has to be what there is, and what was seen. */
function judgeCounters(ledger: Ledger, { counters, tasks, audit }: Final): void {
  for (const [name, value] of Object.entries(audit))
    if (value !== 0) ledger.violate(`${name} is ${value} at the end`)
  const seen: Record<string, number> = {}
  const extra: Record<string, number> = {}
  for (const { functionName } of tasks.values()) add(seen, functionName, 1)
  for (const call of ledger.calls.values()) add(extra, call.plan.target.name, extraRuns(call, tasks))
  for (const { namespace, name: functionName, accepted, waiting, running, duplicates } of counters) {
    const name = `${namespace}/${functionName}`
    if (namespace !== NAMESPACE) ledger.violate(`nobody called ${name}`)
    if (waiting + running > 0) ledger.violate(`${name}: ${waiting} wait and ${running} run at the end`)
    if (accepted !== seen[functionName])
      ledger.violate(`${name}: ${accepted} were accepted, ${seen[functionName] ?? 0} are there`)
    if (duplicates < (extra[functionName] ?? 0))
      ledger.violate(`${name}: ${duplicates} duplicates were counted, ${extra[functionName] ?? 0} were seen`)
  }
}

function count(calls: readonly CallRecord[], submission: CallRecord['submission']): number {
  return calls.filter((call) => call.submission === submission).length
}

function add(to: Record<string, number>, name: string, more: number): void {
  to[name] = (to[name] ?? 0) + more
}
