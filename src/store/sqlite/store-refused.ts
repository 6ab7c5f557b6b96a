/** The database was not opened, and nothing was changed. The message names the file and says why. */
export class StoreRefused extends Error {
  override readonly name = 'StoreRefused'
  /** The database file. */
  readonly file: string
  readonly reason: string
  /** What to do about it, where it is known. */
  readonly fix: string | undefined

  constructor(file: string, reason: string, options: ErrorOptions & { readonly fix?: string } = {}) {
    const { fix, ...rest } = options
    super(`${file}: ${reason}`, rest)
    this.file = file
    this.reason = reason
    this.fix = fix
  }
}

/** What is in the database is damaged: SQLite reads it no more, neither now nor in another process. */
export class StoreDamaged extends Error {
  override readonly name = 'StoreDamaged'
  /** The database file. */
  readonly file: string
  /** In the words of SQLite. */
  readonly reason: string

  constructor(file: string, reason: string, options?: ErrorOptions) {
    super(`${file}: ${reason}`, options)
    this.file = file
    this.reason = reason
  }
}

/** The damage that an error tells of, itself or by its cause. */
export function damageIn(error: unknown): StoreDamaged | undefined {
  if (error instanceof StoreDamaged) return error
  return error instanceof Error && error.cause instanceof StoreDamaged ? error.cause : undefined
}
