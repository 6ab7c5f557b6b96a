import type {
  PackageError,
  PackageErrorCode,
  PackageErrorDetails,
} from '../../store/packages/package-error.ts'
import { FssError } from './errors.ts'

/** Every reason a code package is refused for, in words its uploader can act on. */
const PACKAGE_ERRORS: { [C in PackageErrorCode]: (details: PackageErrorDetails[C]) => FssError } = {
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
    new FssError(
      'FSS.1071',
      `the ${what === 'archive' ? 'code package' : 'expanded code'} exceeds the maximum allowed size (${limitBytes} bytes)`,
    ),
  'too-many-entries': ({ limit }) =>
    new FssError('FSS.1071', `the code package has too many entries (at most ${limit})`),
  busy: () => new FssError('FSS.0429', 'too many requests: too many code uploads at once; retry later'),
  'intake-failed': () => new FssError('FSS.0500', 'an internal error has occurred; retry'),
  'not-found': () => new FssError('FSS.1054', 'the code package does not exist any more'),
}

/** The dialect's answer to a refused code package: one row for each code there is. */
export function fssErrorOfPackage<C extends PackageErrorCode>(error: PackageError<C>): FssError {
  return PACKAGE_ERRORS[error.code](error.details)
}

function invalid(what: string, entryName?: string): FssError {
  const where = entryName === undefined ? '' : ` (entry '${entryName}')`
  return new FssError('FSS.1011', `the function code ${what}${where}`)
}
