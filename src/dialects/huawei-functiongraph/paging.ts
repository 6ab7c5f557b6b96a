import { queryInteger } from './fields.ts'
import type { Call } from './operation.ts'

/** How a list is paged: the query's name for the length of a page, and its bounds. A longer page is cut to `max`. */
export interface PageRule {
  readonly lengthName: 'maxitems' | 'limit'
  readonly default: number
  readonly max: number
}

/** Functions and versions. Source: the vendor's ListFunctions page. */
export const FUNCTION_PAGES: PageRule = { lengthName: 'maxitems', default: 400, max: 400 }

/** Settings by qualifier. Source: the vendor's ListFunctionAsyncInvokeConfig page. */
export const CONFIG_PAGES: PageRule = { lengthName: 'limit', default: 10, max: 100 }

export interface Page<T> {
  readonly items: readonly T[]
  /** Where the list goes on; absent on the last page: clients decode whatever is there. */
  readonly next?: number
  /** Where the page before it begins. */
  readonly previous: number
  /** All items, beyond the page. */
  readonly total: number
}

/**
 * One page of a list: from the offset `marker`, default 0.
 *
 * @throws {FssError} `FSS.1001`
 */
export function pageOf<T>(query: Call['query'], items: readonly T[], rule: PageRule): Page<T> {
  const code = 'FSS.1001'
  const all = { min: 0, max: Number.MAX_SAFE_INTEGER, code } as const
  const at = queryInteger(query, 'marker', all) ?? 0
  const length = Math.min(queryInteger(query, rule.lengthName, all) || rule.default, rule.max)
  const end = at + length
  return {
    items: items.slice(at, end),
    previous: Math.max(0, at - length),
    total: items.length,
    ...(end < items.length && { next: end }),
  }
}

/** The members by which most lists tell of their pages. */
export function pageMembers({ total, next }: Page<unknown>): { count: number; next_marker?: number } {
  return { count: total, ...(next !== undefined && { next_marker: next }) }
}

/** The same of lists of settings. */
export function pageInfo({ items, previous, total, next }: Page<unknown>): Readonly<Record<string, unknown>> {
  return {
    count: total,
    page_info: {
      ...(next !== undefined && { next_marker: next }),
      previous_marker: previous,
      current_count: items.length,
    },
  }
}
