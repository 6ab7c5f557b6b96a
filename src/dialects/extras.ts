import { isJsonObject } from '../model/json.ts'
import type { Extras } from '../store/definition-store.ts'

/** One dialect's part of a record's extras; empty when it has none, as in records that another dialect made. */
export function extrasOf(extras: Extras, dialect: string): Extras {
  const own = extras[dialect]
  return isJsonObject(own) ? own : {}
}

/** The extras with one dialect's part replaced, and those of the others as they were. */
export function withExtras(extras: Extras, dialect: string, own: Extras): Extras {
  return { ...extras, [dialect]: own }
}
