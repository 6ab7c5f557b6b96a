/** What the host has for instances. */
export interface HostRoom {
  readonly maxInstances: number
  readonly memoryBudgetMib: number
}

/** Instances of one state that are asked for, within the limits of its function. */
export interface Claim {
  readonly asked: number
  readonly memoryMib: number
}

/** Part of the host that kept instances may fill: the rest is for calls, which cannot end a kept instance. A choice. */
const KEPT_SHARE = 3 / 4

/**
 * How many of the instances that are asked for may be kept ready: one for each claim in turn while it fits, so that a large claim
 * leaves something to the others.
 *
 * @returns For each claim, in order, 0 … `asked`.
 */
export function grantClaims(claims: readonly Claim[], room: HostRoom): readonly number[] {
  const granted = claims.map(() => 0)
  let places = Math.floor(room.maxInstances * KEPT_SHARE)
  let mib = Math.floor(room.memoryBudgetMib * KEPT_SHARE)
  let open = [...claims.entries()]
  while (open.length > 0) {
    open = open.filter(([index, { asked, memoryMib }]) => {
      const have = granted[index] ?? 0
      if (have >= asked || places < 1 || memoryMib > mib) return false
      granted[index] = have + 1
      places -= 1
      mib -= memoryMib
      return true
    })
  }
  return granted
}
