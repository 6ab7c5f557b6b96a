/** Why a request's body, or a member of it, could not be taken in, with what each code carries. All are the caller's fault. */
export interface IntakeErrorDetails {
  'not-utf8': Record<string, never>
  'not-json': Record<string, never>
  /** The body is JSON, and no object. */
  'not-an-object': Record<string, never>
  /** A text that should hold base64 does not. */
  'not-base64': Record<string, never>
  /** A member of a body too large to be parsed whole is there twice; `member` is its name as the dialect spells it. */
  'repeated-member': { member: string }
  /** What is beside the member that may be large is longer than the bound. */
  'too-large': { limitBytes: number }
}

export type IntakeErrorCode = keyof IntakeErrorDetails

/** A body that is refused. Its message is for programmers and quotes nothing of the body, which may hold secrets. */
export class IntakeError<C extends IntakeErrorCode = IntakeErrorCode> extends Error {
  override readonly name = 'IntakeError'
  readonly code: C
  readonly details: IntakeErrorDetails[C]

  constructor(code: C, details: IntakeErrorDetails[C]) {
    super(`${code} ${JSON.stringify(details)}`)
    this.code = code
    this.details = details
  }
}
