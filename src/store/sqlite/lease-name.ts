/**
 * A lease names a row and the number of its claim. Row numbers are never used again and claims only count up,
 * so no two claims ever share a lease, not even over restarts.
 */
export interface LeaseName {
  readonly sequence: number
  readonly claims: number
}

export function formatLease({ sequence, claims }: LeaseName): string {
  return `${sequence}.${claims}`
}

/** Undefined for text that {@link formatLease} cannot have made. */
export function parseLease(lease: string): LeaseName | undefined {
  const match = /^([1-9]\d{0,14})\.([1-9]\d{0,14})$/.exec(lease)
  return match === null ? undefined : { sequence: Number(match[1]), claims: Number(match[2]) }
}
