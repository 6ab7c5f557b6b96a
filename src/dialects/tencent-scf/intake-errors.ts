import type { IntakeError, IntakeErrorCode, IntakeErrorDetails } from '../../intake/intake-error.ts'
import { packageRefusalOf } from '../../intake/package-refusal.ts'
import type { PackageError, PackageErrorCode } from '../../store/packages/package-error.ts'
import { ScfError, type ScfCode } from './errors.ts'

const INTAKE_ERRORS: { [C in IntakeErrorCode]: (details: IntakeErrorDetails[C]) => ScfError } = {
  'not-utf8': () => new ScfError('InvalidParameter', 'the request body is not UTF-8'),
  'not-json': () => new ScfError('InvalidParameter', 'the request body is not valid JSON'),
  'not-an-object': () => new ScfError('InvalidParameter', 'the request body is not a JSON object'),
  'not-base64': () =>
    new ScfError('InvalidParameterValue.ZipFileBase64BinasciiError', 'ZipFile is not base64'),
  'repeated-member': ({ member }) =>
    new ScfError('InvalidParameter', `the request body has ${member} more than once`),
  'too-large': ({ limitBytes }) =>
    new ScfError(
      'RequestSizeLimitExceeded',
      `the request body exceeds the maximum allowed size beside ZipFile (${limitBytes} bytes)`,
    ),
}

const PACKAGE_CODES: Readonly<Record<ReturnType<typeof packageRefusalOf>['kind'], ScfCode>> = {
  invalid: 'InvalidParameterValue.ZipFile',
  'too-large': 'RequestSizeLimitExceeded',
  busy: 'RequestLimitExceeded',
  failed: 'InternalError',
  missing: 'FailedOperation',
}

/** The dialect's answer to a body that could not be taken in: one row for each code there is. */
export function scfErrorOfIntake<C extends IntakeErrorCode>(error: IntakeError<C>): ScfError {
  return INTAKE_ERRORS[error.code](error.details)
}

/** The dialect's answer to a refused code package: one row for each kind of refusal. */
export function scfErrorOfPackage<C extends PackageErrorCode>(error: PackageError<C>): ScfError {
  const { kind, message } = packageRefusalOf(error)
  return new ScfError(PACKAGE_CODES[kind], message)
}
