import { EngineError, type EngineErrorCode } from '../../model/errors.ts'
import type { InvokeTarget } from '../../model/invocation.ts'
import { payloadOf } from '../../model/payload.ts'
import type { ClaimedDelivery, DestinationTarget } from '../../store/outbox.ts'
import type { Tasks } from '../tasks.ts'
import { CHAIN_DELIVERIES, type Verdict } from './delivery-policy.ts'
import { unsayableReason, type Vocabulary } from './planner.ts'
import type { WebhookClient } from './webhook.ts'

/** What deliveries are made with. */
export interface DeliveryMeans {
  readonly words: Vocabulary
  readonly tasks: Pick<Tasks, 'submit'>
  /** Throws the {@link EngineError} of a call of what does not exist. */
  readonly requireFunction: (target: InvokeTarget) => void
  readonly webhooks: Pick<WebhookClient, 'post'>
}

/** Faults that go away, or that somebody can mend while it is tried; any other means that the target cannot take it. */
const PASSING: ReadonlySet<EngineErrorCode> = new Set<EngineErrorCode>([
  'caller/queue-full',
  'caller/concurrency-exceeded',
  'caller/payload-budget-exceeded',
  'caller/runtime-missing',
  'caller/memory-unavailable',
  'caller/gone',
  'platform/no-capacity',
  'platform/start-failed',
  'platform/draining',
  'platform/store-full',
  'platform/store-failed',
])

/** Tries a delivery once. Rejects only where its means break their contracts. */
export async function attemptDelivery(
  delivery: ClaimedDelivery,
  means: DeliveryMeans,
  signal: AbortSignal,
): Promise<Verdict> {
  const { target } = delivery.destination
  if (target.kind === 'unreachable') return { kind: 'refused', reason: 'target-unreachable' }
  const unsayable = unsayableReason(delivery)
  if (unsayable !== undefined) return { kind: 'refused', reason: unsayable }
  if (delivery.depth >= CHAIN_DELIVERIES) return { kind: 'refused', reason: 'too-deep' }
  return target.kind === 'webhook'
    ? await means.webhooks.post(delivery, target.url, signal)
    : await submit(delivery, target, means)
}

/** Submitted with an id that is the delivery's: however often it is tried, there is one task. */
async function submit(
  { deliveryId, requestId, destination, body, depth }: ClaimedDelivery,
  { account, namespace, name, qualifier }: Extract<DestinationTarget, { kind: 'function' }>,
  { words, tasks, requireFunction }: DeliveryMeans,
): Promise<Verdict> {
  const dialect = words.get(destination.dialect)
  if (dialect === undefined) return { kind: 'refused', reason: 'dialect-unknown' }
  const target = { account, namespace, name, ...(qualifier === undefined ? {} : { qualifier }) }
  try {
    requireFunction(target)
    const { hasTaskId = false, ...settings } = dialect.settingsOf(target)
    await tasks.submit({
      ...settings,
      target,
      requestId: deliveryId,
      ...(hasTaskId ? { taskId: deliveryId } : {}),
      payload: payloadOf(body),
      causedBy: requestId,
      depth: depth + 1,
      once: true,
    })
    return { kind: 'delivered' }
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    const code: EngineErrorCode = error.code
    return { kind: PASSING.has(code) ? 'failed' : 'refused', reason: code }
  }
}
