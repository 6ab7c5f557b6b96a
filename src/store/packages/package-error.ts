/**
 * Why a code package was refused, with what each code carries.
 *
 * The fault is the uploader's for every code but `busy` and `intake-failed`, which are this server's: a dialect answers
 * those two as 5xx or throttling, and the rest as its 4xx. `not-found` is the fault of whoever kept the digest.
 * `entryName` is the offending path as the archive spells it, cut to 256 characters.
 */
export interface PackageErrorDetails {
  /** No end-of-archive record: another format, an empty body, or an archive cut short. */
  'not-a-zip': { reason: string }
  /** The records contradict themselves or the data: wrong CRC-32, wrong sizes, broken deflate stream, bad headers. */
  corrupt: { reason: string; entryName?: string }
  'unsafe-entry': { reason: UnsafeEntryReason; entryName: string }
  /** Two entries claim one path, or one needs a folder where another put a file or a link. */
  'duplicate-entry': { entryName: string }
  'encrypted-entry': { entryName?: string }
  /** Only stored (0) and deflated (8) entries are read. */
  'unsupported-compression': { entryName: string; method: number }
  'too-large': { what: 'archive' | 'expanded'; limitBytes: number }
  'too-many-entries': { limit: number }
  'suspicious-ratio': { limit: number }
  'path-too-long': { entryName: string }
  busy: { limit: number }
  'intake-failed': { reason: string }
  'not-found': { digest: string }
}

type UnsafeEntryReason =
  | 'absolute-name'
  | 'parent-segment'
  | 'backslash'
  | 'nul-byte'
  | 'name-encoding'
  | 'empty-name'
  | 'special-file'
  | 'directory-with-content'
  | 'link-target'
  | 'link-escapes'
  | 'link-loop'

export type PackageErrorCode = keyof PackageErrorDetails

/** A package that could not be taken in, kept or found. Nothing of it is left behind. */
export class PackageError<C extends PackageErrorCode = PackageErrorCode> extends Error {
  readonly code: C
  readonly details: PackageErrorDetails[C]

  constructor(code: C, details: PackageErrorDetails[C], options?: ErrorOptions) {
    super(`${code} ${JSON.stringify(details)}`, options)
    this.name = 'PackageError'
    this.code = code
    this.details = details
  }
}

const ENTRY_NAME_CHARACTERS = 256

/** Cuts an attacker-chosen name or message to 256 characters, so that no error grows with its archive. */
export function shorten(text: string): string {
  return text.length <= ENTRY_NAME_CHARACTERS ? text : `${text.slice(0, ENTRY_NAME_CHARACTERS - 1)}…`
}

/** The error itself when it is a `PackageError`, else `intake-failed` with the original as its cause. */
export function toPackageError(error: unknown): PackageError {
  if (error instanceof PackageError) return error
  return new PackageError('intake-failed', { reason: shorten(describe(error)) }, { cause: error })
}

/** Names a failure of the host by its errno alone: the full message would show paths of this server to uploaders. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown failure'
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}
