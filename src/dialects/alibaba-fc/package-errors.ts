import type {
  PackageError,
  PackageErrorCode,
  PackageErrorDetails,
} from '../../store/packages/package-error.ts'
import { FcError } from './errors.ts'

/** Every reason a code package is refused for, in words its uploader can act on. */
const PACKAGE_ERRORS: { [C in PackageErrorCode]: (details: PackageErrorDetails[C]) => FcError } = {
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
    new FcError(
      'EntityTooLarge',
      `the ${what === 'archive' ? 'code' : 'expanded code'} exceeds the maximum allowed size (${limitBytes} bytes)`,
    ),
  'too-many-entries': ({ limit }) =>
    new FcError('EntityTooLarge', `the code has too many entries (max: ${limit})`),
  busy: () => new FcError('ResourceExhausted', 'too many code uploads at once; retry later'),
  'intake-failed': () => new FcError('InternalServerError', 'an internal error has occurred. Please retry.'),
  'not-found': () => new FcError('FunctionNotFound', 'the code package does not exist any more'),
}

/** The dialect's answer to a refused code package: one row for each code there is. */
export function fcErrorOfPackage<C extends PackageErrorCode>(error: PackageError<C>): FcError {
  return PACKAGE_ERRORS[error.code](error.details)
}

function invalid(what: string, entryName?: string): FcError {
  const where = entryName === undefined ? '' : ` (entry '${entryName}')`
  return new FcError('InvalidArgument', `the code package ${what}${where}`)
}
