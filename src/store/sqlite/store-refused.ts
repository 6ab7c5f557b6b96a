/** The database was not opened, and nothing was changed. The message names the file and says what to do. */
export class StoreRefused extends Error {
  override readonly name = 'StoreRefused'
  /** The database file. */
  readonly file: string
  readonly reason: string

  constructor(file: string, reason: string, options?: ErrorOptions) {
    super(`${file}: ${reason}`, options)
    this.file = file
    this.reason = reason
  }
}
