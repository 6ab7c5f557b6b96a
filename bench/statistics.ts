/** The value below which the given share (0..1) of the values lies, linearly interpolated; NaN when empty. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const position = (sorted.length - 1) * share
  const below = sorted[Math.floor(position)] ?? Number.NaN
  const above = sorted[Math.ceil(position)] ?? Number.NaN
  return below + (above - below) * (position - Math.floor(position))
}

/** The middle value; NaN when empty. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** Median with first and third quartile: how one figure of this benchmark is always reported. */
export interface Spread {
  readonly median: number
  readonly q1: number
  readonly q3: number
}

/** Median and quartiles of the values; all NaN when empty. */
export function spread(values: readonly number[]): Spread {
  return { median: median(values), q1: quantile(values, 0.25), q3: quantile(values, 0.75) }
}
