import type { QuotaExceeded } from '../../definitions/quotas.ts'
import type { CodeLinkError, CodeLinkErrorCode, CodeLinkErrorDetails } from '../../intake/code-link.ts'
import type { IntakeError, IntakeErrorCode, IntakeErrorDetails } from '../../intake/intake-error.ts'
import { packageRefusalOf, type PackageRefusal } from '../../intake/package-refusal.ts'
import type { PackageError } from '../../store/packages/package-error.ts'
import { FssError, type FssCode } from './errors.ts'

const PACKAGE_CODES: { [K in PackageRefusal['kind']]: FssCode } = {
  invalid: 'FSS.1011',
  'too-large': 'FSS.1071',
  busy: 'FSS.0429',
  failed: 'FSS.0500',
  missing: 'FSS.1054',
}

const INTAKE_ERRORS: { [C in IntakeErrorCode]: (details: IntakeErrorDetails[C]) => FssError } = {
  'not-utf8': () => new FssError('FSS.0400', 'invalid parameter: the request body is not UTF-8'),
  'not-json': () => new FssError('FSS.0400', 'invalid parameter: the request body is not valid JSON'),
  'not-an-object': () => new FssError('FSS.0400', 'invalid parameter: the request body is not a JSON object'),
  'not-base64': () => new FssError('FSS.1011', 'invalid function code: the file is not base64'),
  'repeated-member': ({ member }) =>
    new FssError('FSS.0400', `invalid parameter: ${member} is set more than once`),
  'too-large': ({ limitBytes }) =>
    new FssError('FSS.0413', `the request body exceeds ${limitBytes} bytes beside the code it holds`),
}

const LINK_ERRORS: { [C in CodeLinkErrorCode]: (details: CodeLinkErrorDetails[C]) => FssError } = {
  'not-genuine': () => new FssError('FSS.0403', 'the signature of this link does not match'),
  expired: () => new FssError('FSS.0403', 'this link has expired'),
  'too-many': ({ limit }) =>
    new FssError('FSS.0429', `too many requests: more than ${limit} code downloads at once`),
}

/** The dialect's answer to a refused code package. */
export function fssErrorOfPackage(error: PackageError): FssError {
  const { kind, message } = packageRefusalOf(error)
  return new FssError(
    PACKAGE_CODES[kind],
    kind === 'failed' ? 'an internal error has occurred; retry' : message,
  )
}

/** The dialect's answer to a body that could not be taken in: one row for each code there is. */
export function fssErrorOfIntake<C extends IntakeErrorCode>(error: IntakeError<C>): FssError {
  return INTAKE_ERRORS[error.code](error.details)
}

/** The dialect's answer to a download link that leads nowhere: one row for each code there is. */
export function fssErrorOfLink<C extends CodeLinkErrorCode>(error: CodeLinkError<C>): FssError {
  return LINK_ERRORS[error.code](error.details)
}

/** More records than this server keeps: the vendor has a code for functions alone, its 403 for the rest. */
export function fssErrorOfQuota({ message }: QuotaExceeded): FssError {
  return new FssError('FSS.0403', message)
}
