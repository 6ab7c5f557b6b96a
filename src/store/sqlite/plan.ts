import type { Destinations } from '../outbox.ts'
import type { Refusals } from '../task-queue.ts'

/** What only few tasks have: kept in one column as JSON, null where there is nothing of it. */
export interface Plan {
  readonly refusals?: Refusals
  readonly destinations?: Destinations
  readonly source?: string
  readonly causedBy?: string
  readonly depth?: number
}

const SOURCE_CHARACTERS = 64

export function formatPlan(task: Plan): string | null {
  const { refusals, destinations, source, causedBy, depth } = task
  const plan: Plan = {
    ...(refusals === undefined ? {} : { refusals }),
    ...(destinations === undefined ? {} : { destinations }),
    ...(source === undefined ? {} : { source: source.slice(0, SOURCE_CHARACTERS) }),
    ...(causedBy === undefined ? {} : { causedBy }),
    ...(depth === undefined ? {} : { depth }),
  }
  return Object.keys(plan).length === 0 ? null : JSON.stringify(plan)
}

export function parsePlan(text: string | null): Plan {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by `formatPlan`
  return text === null ? {} : (JSON.parse(text) as Plan)
}
