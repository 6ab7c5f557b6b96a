import type { Reply } from '../../http/exchange.ts'
import { QuotaExceeded } from '../../definitions/quotas.ts'
import { CodeLinkError } from '../../intake/code-link.ts'
import { IntakeError } from '../../intake/intake-error.ts'
import { EngineError } from '../../model/errors.ts'
import { EMPTY_PAYLOAD, payloadOf } from '../../model/payload.ts'
import { PackageError } from '../../store/packages/package-error.ts'
import { RevisionConflict } from '../../store/definition-store.ts'
import { FcError, fcErrorOf, STATUS_OF, type FcCode } from './errors.ts'
import type { Answer } from './operation.ts'
import { fcErrorOfIntake, fcErrorOfLink, fcErrorOfPackage } from './intake-errors.ts'

/** A refusal on its way to the client. */
export interface Failure {
  readonly status: number
  readonly code: string
  readonly message: string
}

/** Turns an operation's answer into a reply. A body-less one has no content type: clients would parse it as JSON. */
export function answerReply(answer: Answer, requestId: string): Reply {
  if (answer.body === undefined)
    return {
      status: answer.status,
      headers: { ...idHeaders(requestId), ...answer.headers },
      body: EMPTY_PAYLOAD,
    }
  return {
    status: answer.status,
    headers: { ...idHeaders(requestId), 'Content-Type': 'application/json', ...answer.headers },
    body: payloadOf(JSON.stringify(answer.body)),
  }
}

/**
 * A failure in every spelling that the generations of clients read: the older want `ErrorCode` and `ErrorMessage`, the
 * younger `Code` and `Message`, and none of them survives a body that is not JSON.
 */
export function failureReply({ status, code, message }: Failure, requestId: string): Reply {
  return {
    status,
    headers: { ...idHeaders(requestId), 'Content-Type': 'application/json' },
    body: payloadOf(
      JSON.stringify({
        RequestId: requestId,
        Code: code,
        Message: message,
        ErrorCode: code,
        ErrorMessage: message,
      }),
    ),
  }
}

/** What an exception tells the client, and whether the operator should hear of it. */
export function failureOf(error: unknown): Failure & { readonly unexpected: boolean } {
  if (error instanceof FcError) return failure(error.code, error.message)
  if (error instanceof EngineError) {
    const { code, message } = fcErrorOf(error)
    return failure(code, message)
  }
  if (error instanceof PackageError) {
    const { code, message } = fcErrorOfPackage(error)
    return failure(code, message, error.code === 'intake-failed')
  }
  if (error instanceof IntakeError) {
    const { code, message } = fcErrorOfIntake(error)
    return failure(code, message)
  }
  if (error instanceof CodeLinkError) {
    const { code, message } = fcErrorOfLink(error)
    return failure(code, message)
  }
  if (error instanceof QuotaExceeded) return failure('LimitExceeded', error.message)
  if (error instanceof RevisionConflict)
    return failure('ConcurrentUpdateError', 'the resource was changed by another request; retry')
  return failure('InternalServerError', 'an internal error has occurred. Please retry.', true)
}

/** On every reply: the older clients read the first, the younger the second. */
export function idHeaders(requestId: string): Record<string, string> {
  return { 'X-Fc-Request-Id': requestId, 'x-acs-request-id': requestId }
}

function failure(
  code: FcCode,
  message: string,
  unexpected = false,
): Failure & { readonly unexpected: boolean } {
  return { status: STATUS_OF[code], code, message, unexpected }
}
