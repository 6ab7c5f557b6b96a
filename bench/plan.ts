/** How much is measured. Every count is a number of rounds; every load run lasts `runSeconds`. */
export interface Plan {
  readonly mode: 'default' | 'quick'
  readonly runSeconds: number
  readonly throughputRounds: number
  readonly tailRounds: number
  readonly readyRounds: number
  readonly coldStartRounds: number
  /** Calls after which memory is taken as the base, and calls at which it is compared with it. */
  readonly growthCalls: { readonly from: number; readonly to: number }
  /** Bound on the load of the memory phase; a server too slow for it is reported as not judged. */
  readonly growthSeconds: number
}

/** About seven minutes with five systems. */
export const defaultPlan: Plan = {
  mode: 'default',
  runSeconds: 1,
  throughputRounds: 7,
  tailRounds: 3,
  readyRounds: 7,
  coldStartRounds: 20,
  growthCalls: { from: 20_000, to: 100_000 },
  growthSeconds: 40,
}

/** Every phase once and briefly: shows that the benchmark works, gives no figure worth quoting. */
export const quickPlan: Plan = {
  mode: 'quick',
  runSeconds: 1,
  throughputRounds: 1,
  tailRounds: 1,
  readyRounds: 1,
  coldStartRounds: 3,
  growthCalls: { from: 20_000, to: 100_000 },
  growthSeconds: 3,
}

/** Simultaneous connections that are measured. */
export const connectionCounts = [1, 16] as const
