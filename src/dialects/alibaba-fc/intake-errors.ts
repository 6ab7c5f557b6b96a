import type { CodeLinkError, CodeLinkErrorCode, CodeLinkErrorDetails } from '../../intake/code-link.ts'
import type { IntakeError, IntakeErrorCode, IntakeErrorDetails } from '../../intake/intake-error.ts'
import { packageRefusalOf, type PackageRefusal } from '../../intake/package-refusal.ts'
import type { PackageError } from '../../store/packages/package-error.ts'
import { FcError, type FcCode } from './errors.ts'

const PACKAGE_CODES: { [K in PackageRefusal['kind']]: FcCode } = {
  invalid: 'InvalidArgument',
  'too-large': 'EntityTooLarge',
  busy: 'ResourceExhausted',
  failed: 'InternalServerError',
  missing: 'FunctionNotFound',
}

const INTAKE_ERRORS: { [C in IntakeErrorCode]: (details: IntakeErrorDetails[C]) => FcError } = {
  'not-utf8': () => invalid('the request body is not UTF-8'),
  'not-json': () => invalid('the request body is not valid JSON'),
  'not-an-object': () => invalid('the request body is not a JSON object'),
  'not-base64': () => invalid('ZipFile is not base64'),
  'repeated-member': ({ member }) =>
    invalid(`${member.charAt(0).toUpperCase()}${member.slice(1)} is set more than once`),
  'too-large': ({ limitBytes }) =>
    new FcError(
      'EntityTooLarge',
      `the request body exceeds the maximum allowed size beside zipFile (${limitBytes} bytes)`,
    ),
}

const LINK_ERRORS: { [C in CodeLinkErrorCode]: (details: CodeLinkErrorDetails[C]) => FcError } = {
  'not-genuine': () => new FcError('AccessDenied', 'the signature of this link does not match'),
  expired: () => new FcError('AccessDenied', 'this link has expired'),
  'too-many': ({ limit }) =>
    new FcError('ResourceExhausted', `more than ${limit} code downloads at once; retry later`),
}

/** The dialect's answer to a refused code package. */
export function fcErrorOfPackage(error: PackageError): FcError {
  const { kind, message } = packageRefusalOf(error)
  return new FcError(
    PACKAGE_CODES[kind],
    kind === 'failed' ? 'an internal error has occurred. Please retry.' : message,
  )
}

/** The dialect's answer to a body that could not be taken in: one row for each code there is. */
export function fcErrorOfIntake<C extends IntakeErrorCode>(error: IntakeError<C>): FcError {
  return INTAKE_ERRORS[error.code](error.details)
}

/** The dialect's answer to a download link that leads nowhere: one row for each code there is. */
export function fcErrorOfLink<C extends CodeLinkErrorCode>(error: CodeLinkError<C>): FcError {
  return LINK_ERRORS[error.code](error.details)
}

function invalid(message: string): FcError {
  return new FcError('InvalidArgument', message)
}
