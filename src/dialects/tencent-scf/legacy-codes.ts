import type { ScfCode } from './errors.ts'

/** How the legacy API tells a failure: a number for programs, and a word for what the number means. */
export interface LegacyCode {
  readonly code: number
  readonly codeDesc: string
}

type CodeClass = ScfCode extends infer C ? (C extends `${infer Head}.${string}` ? Head : C) : never

/** The legacy number of each class of codes. Source: the vendor's error page of API 2.0; most words are choices. */
const LEGACY_CLASSES: Readonly<Record<CodeClass, LegacyCode>> = {
  AuthFailure: { code: 4100, codeDesc: 'AuthFailure' },
  FailedOperation: { code: 5100, codeDesc: 'FailedOperation' },
  InternalError: { code: 6000, codeDesc: 'InternalError' },
  InvalidAction: { code: 6100, codeDesc: 'InvalidAction' },
  InvalidParameter: { code: 4000, codeDesc: 'InvalidParameter' },
  InvalidParameterValue: { code: 4000, codeDesc: 'InvalidParameter' },
  InvalidRequest: { code: 4000, codeDesc: 'InvalidParameter' },
  LimitExceeded: { code: 4400, codeDesc: 'LimitExceeded' },
  MissingParameter: { code: 4000, codeDesc: 'InvalidParameter' },
  NoSuchVersion: { code: 6100, codeDesc: 'InvalidAction' },
  RequestLimitExceeded: { code: 4400, codeDesc: 'LimitExceeded' },
  RequestSizeLimitExceeded: { code: 4000, codeDesc: 'InvalidParameter' },
  ResourceInUse: { code: 5100, codeDesc: 'FailedOperation' },
  ResourceInsufficient: { code: 5100, codeDesc: 'FailedOperation' },
  ResourceNotFound: { code: 5000, codeDesc: 'ResourceNotFound' },
  ServiceUnavailable: { code: 6200, codeDesc: 'ServiceUnavailable' },
  UnauthorizedOperation: { code: 4101, codeDesc: 'UnauthorizedOperation' },
  UnsupportedOperation: { code: 5100, codeDesc: 'FailedOperation' },
  UnsupportedProtocol: { code: 4600, codeDesc: 'UnsupportedProtocol' },
  UnsupportedRegion: { code: 4000, codeDesc: 'InvalidParameter' },
}

/** Codes whose number differs from that of their class. */
const LEGACY_EXCEPTIONS: Partial<Record<ScfCode, LegacyCode>> = {
  'AuthFailure.SecretIdNotFound': { code: 4104, codeDesc: 'AuthFailure' },
  'AuthFailure.TokenFailure': { code: 4105, codeDesc: 'AuthFailure' },
  'AuthFailure.SignatureExpire': { code: 4500, codeDesc: 'ReplayAttack' },
  'AuthFailure.UnauthorizedOperation': { code: 4101, codeDesc: 'UnauthorizedOperation' },
}

/** The legacy API's answer to a code of API 3.0. */
export function legacyCodeOf(code: ScfCode): LegacyCode {
  return LEGACY_EXCEPTIONS[code] ?? LEGACY_CLASSES[classOf(code)]
}

function classOf(code: ScfCode): CodeClass {
  const dot = code.indexOf('.')
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what stands before the dot is a class by its type
  return (dot < 0 ? code : code.slice(0, dot)) as CodeClass
}
