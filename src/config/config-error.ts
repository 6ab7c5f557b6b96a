/** One thing that is wrong, in the parts a person needs to put it right. */
export interface Complaint {
  /** What is wrong, without a full stop. */
  readonly what: string
  /** Why it is wrong. */
  readonly why: string
  /** What to do about it. */
  readonly fix: string
  /** A page or file to read, where there is one. */
  readonly see?: string
}

/** The settings cannot be used. Carries everything that is wrong with them, not only the first. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly complaints: readonly Complaint[]

  constructor(complaints: readonly Complaint[], options?: ErrorOptions) {
    super(complaints.map(({ what, why }) => `${what}: ${why}`).join('; '), options)
    this.complaints = complaints
  }
}
