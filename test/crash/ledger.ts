import { performance } from 'node:perf_hooks'
import type { PlannedCall } from './plan.ts'

export type Ending = 'succeeded' | 'failed' | 'expired' | 'cancelled'

/** What became of handing it over. `unknown`: no answer came; it may be there. `unsent`: no connection was made. */
export type Submission = 'pending' | 'accepted' | 'refused' | 'unknown' | 'unsent'

/** What a call looks like through the API it came through. */
export interface Sight {
  /** Absent while it goes on. */
  readonly ending?: Ending
  /** Everything that must not change once it has ended, in the vendor's words. */
  readonly words: string
}

/** A call as it is known outside of the server. Moments are those of `performance.now()`. */
export interface CallRecord {
  readonly plan: PlannedCall
  submission: Submission
  requestId?: string
  /** No answer and no run has told the id: it may be that of another call without an answer. */
  isGuessed?: true
  acceptedAtMs?: number
  /** An answer came that it has ended, or a look found it ended: no run may be alive after that. */
  overAtMs?: number
  /** The answer of its stop. `stopped`: it ended by it. `over`: it had ended, or ended by it: the API does not say. */
  stop?: 'asked' | 'stopped' | 'over'
  /** As it was first seen ended. */
  ended?: Sight
  readonly runs: Run[]
}

/** One run, as its function told it. */
export interface Run {
  readonly id: string
  readonly call: CallRecord
  readonly requestId: string
  readonly attempt: number
  readonly order: Order
  /** When it was last answered: it was alive after that if it says anything more. */
  answeredAtMs: number
  hasEnded: boolean
}

export type Order = 'succeed' | 'fail' | 'die' | 'exit'

/** Endings that somebody was told. */
export interface Told {
  /** The ids under which it was told: of tasks, or of webhook messages. One for each ending, however often it is told. */
  readonly ids: Set<string>
  readonly conditions: Set<string>
  times: number
}

const MOST_VIOLATIONS = 50

/** What is known without asking the server: calls, runs and tellings. */
export class Ledger {
  readonly calls = new Map<string, CallRecord>()
  readonly runs = new Map<string, Run>()
  readonly told = new Map<string, Told>()
  readonly violations: string[] = []
  violationCount = 0

  violate(text: string): void {
    this.violationCount += 1
    if (this.violations.length < MOST_VIOLATIONS) this.violations.push(text)
  }

  plan(plan: PlannedCall): CallRecord {
    const call: CallRecord = { plan, submission: 'pending', runs: [] }
    this.calls.set(plan.name, call)
    return call
  }

  accept(call: CallRecord, requestId: string | undefined): void {
    call.submission = 'accepted'
    call.acceptedAtMs = performance.now()
    if (requestId !== undefined) call.requestId = requestId
  }

  /** Notes how a call looks: an ended one must look so for ever. */
  see(call: CallRecord, sight: Sight): void {
    if (call.ended !== undefined && call.ended.words !== sight.words)
      this.violate(
        `${labelOf(call)} had ended as ${call.ended.words}, and is ${sight.words} now: settled twice`,
      )
    if (sight.ending === undefined) return
    call.ended ??= sight
    call.overAtMs ??= performance.now()
  }

  /** Live ones among those that are known to be there. */
  get live(): number {
    let count = 0
    for (const { submission, overAtMs } of this.calls.values())
      if (submission === 'accepted' && overAtMs === undefined) count += 1
    return count
  }

  begin(message: {
    readonly run: string
    readonly call: string
    readonly requestId: string
    readonly attempt: number
  }): Run | undefined {
    const call = this.calls.get(message.call)
    if (call === undefined) {
      this.violate(`a run of a call that nobody made: ${JSON.stringify(message)}`)
      return undefined
    }
    const run: Run = {
      id: message.run,
      call,
      requestId: message.requestId,
      attempt: message.attempt,
      order: orderFor(call),
      answeredAtMs: performance.now(),
      hasEnded: false,
    }
    call.runs.push(run)
    this.runs.set(run.id, run)
    return run
  }

  /** A further message of a run: it was alive when the one before was answered. */
  proceed(id: string, isEnd: boolean): void {
    const run = this.runs.get(id)
    if (run === undefined) return this.violate(`a run goes on that never began: ${id}`)
    const { call } = run
    if (call.overAtMs !== undefined && run.answeredAtMs > call.overAtMs)
      this.violate(
        `${labelOf(call)} was over (${call.stop ?? call.ended?.words ?? ''}), and a run of it was alive later`,
      )
    run.answeredAtMs = performance.now()
    if (isEnd) run.hasEnded = true
  }

  tell(cause: string, id: string, condition: string): void {
    const told = this.told.get(cause) ?? { ids: new Set(), conditions: new Set(), times: 0 }
    told.ids.add(id)
    told.conditions.add(condition)
    told.times += 1
    this.told.set(cause, told)
  }
}

/** For people: the name, the way and the id. */
export function labelOf({ plan, requestId = 'no request id' }: CallRecord): string {
  return `${plan.name} (${plan.target.name} through ${plan.door}, ${requestId})`
}

/** Runs that failed because they were told to. */
export function orderedFailures({ runs }: CallRecord): number {
  return runs.filter(({ order, hasEnded }) => order !== 'succeed' && hasEnded).length
}

function orderFor({ plan, runs }: CallRecord): Order {
  const wasOrdered = runs.some(({ order, hasEnded }) => order !== 'succeed' && hasEnded)
  switch (plan.target.kind) {
    case 'succeeding':
      return 'succeed'
    case 'failing':
      return 'fail'
    case 'dying':
      return 'die'
    case 'flaky':
      return wasOrdered ? 'succeed' : 'fail'
    case 'faltering':
      return wasOrdered ? 'succeed' : 'exit'
  }
}
