import type { Refusal, Reply } from '../../http/exchange.ts'
import { QuotaExceeded } from '../../definitions/quotas.ts'
import { CodeLinkError } from '../../intake/code-link.ts'
import { IntakeError } from '../../intake/intake-error.ts'
import { EngineError } from '../../model/errors.ts'
import { EMPTY_PAYLOAD, payloadOf } from '../../model/payload.ts'
import { PackageError } from '../../store/packages/package-error.ts'
import { RevisionConflict } from '../../store/definition-store.ts'
import { FssError, fssErrorOf, STATUS_OF, type FssCode } from './errors.ts'
import { fssErrorOfIntake, fssErrorOfLink, fssErrorOfPackage, fssErrorOfQuota } from './intake-errors.ts'
import type { Answer } from './operation.ts'
import { gatewayId } from './request-head.ts'

/** A refusal on its way to the client. */
export interface Failure {
  readonly status: number
  readonly code: string
  readonly message: string
}

/** Turns an operation's answer into a reply. A body-less one has no content type. */
export function answerReply({ status, body, headers, raw }: Answer, requestId: string): Reply {
  const id = { 'X-Request-Id': gatewayId(requestId) }
  if (raw !== undefined)
    return { status, headers: { ...id, 'Content-Type': raw.contentType, ...headers }, body: raw.body }
  if (body === undefined) return { status, headers: { ...id, ...headers }, body: EMPTY_PAYLOAD }
  return {
    status,
    headers: { ...id, 'Content-Type': 'application/json', ...headers },
    body: payloadOf(JSON.stringify(body)),
  }
}

/** A failure as the service writes it; the gateway's own have the request id in the body, too. */
export function failureReply({ status, code, message }: Failure, requestId: string): Reply {
  const id = gatewayId(requestId)
  const content = { error_code: code, error_msg: message }
  return {
    status,
    headers: { 'X-Request-Id': id, 'Content-Type': 'application/json' },
    body: payloadOf(JSON.stringify(code.startsWith('APIGW.') ? { ...content, request_id: id } : content)),
  }
}

/** A refusal of the listener's own, with the code that ends in its status where there is one. */
export function refusalFailure({ status, message }: Refusal): Failure {
  const code = `FSS.0${status}`
  const other: FssCode = status < 500 ? 'FSS.0400' : 'FSS.0500'
  return { status, code: Object.hasOwn(STATUS_OF, code) ? code : other, message }
}

/** What an exception tells the client, and whether the operator should hear of it. */
export function failureOf(error: unknown): Failure & { readonly unexpected: boolean } {
  const known = fssErrorFor(error)
  const code = known?.code ?? 'FSS.0500'
  return {
    status: STATUS_OF[code],
    code,
    message: known?.message ?? 'an internal error has occurred; retry',
    unexpected: known === undefined || (error instanceof PackageError && error.code === 'intake-failed'),
  }
}

function fssErrorFor(error: unknown): FssError | undefined {
  if (error instanceof FssError) return error
  if (error instanceof EngineError) return fssErrorOf(error)
  if (error instanceof PackageError) return fssErrorOfPackage(error)
  if (error instanceof IntakeError) return fssErrorOfIntake(error)
  if (error instanceof CodeLinkError) return fssErrorOfLink(error)
  if (error instanceof QuotaExceeded) return fssErrorOfQuota(error)
  if (error instanceof RevisionConflict)
    return new FssError('FSS.0409', 'the resource was changed by another request; retry')
  return undefined
}
