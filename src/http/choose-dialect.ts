import type { Claim, Dialect, RequestHead } from '../dialects/dialect.ts'

const STRENGTH: Record<Claim, number> = { scheme: 3, action: 2, path: 1 }

/** The dialect with the strongest claim on a request; of equal claims, the first. Undefined when no dialect claims it. */
export function chooseDialect(dialects: readonly Dialect[], head: RequestHead): Dialect | undefined {
  let chosen: Dialect | undefined
  let strongest = 0
  for (const dialect of dialects) {
    const claim = dialect.claims(head)
    const strength = claim === undefined ? 0 : STRENGTH[claim]
    if (strength <= strongest) continue
    chosen = dialect
    strongest = strength
  }
  return chosen
}
