import type { PackageError, PackageErrorCode, PackageErrorDetails } from '../store/packages/package-error.ts'

/** A refused code package, as far as every API tells it: what kind of refusal it is, and a sentence for people. */
export interface PackageRefusal {
  /**
   * `invalid`: the uploader's package is at fault; `too-large`: over a limit; `busy`: too many uploads at once, retry;
   * `failed`: this server's fault; `missing`: the package is not kept any more.
   */
  readonly kind: 'invalid' | 'too-large' | 'busy' | 'failed' | 'missing'
  readonly message: string
}

const REFUSALS: { [C in PackageErrorCode]: (details: PackageErrorDetails[C]) => PackageRefusal } = {
  'not-a-zip': ({ reason }) => invalid(`is not a zip archive: ${reason}`),
  corrupt: ({ reason, entryName }) => invalid(`is damaged: ${reason}`, entryName),
  'unsafe-entry': ({ reason, entryName }) => invalid(`has an unsafe entry: ${reason}`, entryName),
  'duplicate-entry': ({ entryName }) => invalid('has two entries for one path', entryName),
  'encrypted-entry': ({ entryName }) => invalid('is encrypted', entryName),
  'unsupported-compression': ({ entryName, method }) =>
    invalid(`uses compression method ${method}; only stored and deflated are read`, entryName),
  'path-too-long': ({ entryName }) => invalid('has a path that is too long', entryName),
  'suspicious-ratio': ({ limit }) => invalid(`expands to more than ${limit} times its size`),
  'too-large': ({ what, limitBytes }) =>
    tooLarge(
      `the ${what === 'archive' ? 'code' : 'expanded code'} exceeds the maximum allowed size (${limitBytes} bytes)`,
    ),
  'too-many-entries': ({ limit }) => tooLarge(`the code has too many entries (max: ${limit})`),
  busy: () => ({ kind: 'busy', message: 'too many code uploads at once; retry later' }),
  'intake-failed': () => ({ kind: 'failed', message: 'the code package could not be stored' }),
  'not-found': () => ({ kind: 'missing', message: 'the code package does not exist any more' }),
}

/** Every reason a code package is refused for, in words its uploader can act on. */
export function packageRefusalOf<C extends PackageErrorCode>(error: PackageError<C>): PackageRefusal {
  return REFUSALS[error.code](error.details)
}

function invalid(what: string, entryName?: string): PackageRefusal {
  const where = entryName === undefined ? '' : ` (entry '${entryName}')`
  return { kind: 'invalid', message: `the code package ${what}${where}` }
}

function tooLarge(message: string): PackageRefusal {
  return { kind: 'too-large', message }
}
