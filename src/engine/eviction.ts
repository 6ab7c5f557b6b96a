/** An idle instance as eviction sees it. */
export interface Candidate {
  readonly idleSinceMs: number
  readonly version: { readonly memoryMib: number }
}

/**
 * Which idle instances must go so that something else fits: those idle longest, and none when all together would not do.
 *
 * @param missingMib Memory that is wanted beyond what is free; 0 or less when enough is.
 * @param missingPlaces The same for the number of instances.
 * @returns Empty when nothing is missing, undefined when nothing helps.
 */
export function chooseVictims<C extends Candidate>(
  idle: readonly C[],
  missingMib: number,
  missingPlaces: number,
): readonly C[] | undefined {
  const chosen: C[] = []
  let [mib, places] = [missingMib, missingPlaces]
  for (const candidate of idle.toSorted((a, b) => a.idleSinceMs - b.idleSinceMs)) {
    if (mib <= 0 && places <= 0) break
    chosen.push(candidate)
    mib -= candidate.version.memoryMib
    places -= 1
  }
  if (mib > 0 || places > 0) return undefined
  // A large one that came last may have made smaller ones unnecessary.
  return chosen.filter(({ version: { memoryMib } }) => {
    const isNeeded = mib + memoryMib > 0 || places + 1 > 0
    if (!isNeeded) [mib, places] = [mib + memoryMib, places + 1]
    return isNeeded
  })
}
