import { randomUUID } from 'node:crypto'
import { DELIVERY_BYTES, type NewDelivery } from '../../store/outbox.ts'
import type { DestinationWords, EndedTask } from '../destination-words.ts'

/** The words of each dialect that is there, by its name. */
export type Vocabulary = ReadonlyMap<string, DestinationWords>

/** Content type of a delivery that has no words; its body is the reason. */
const UNSAYABLE = ''

/**
 * What is told of an ending, and to whom; undefined when nobody asked to be told.
 *
 * What cannot be put into words (no such dialect any more, words that throw, more than {@link DELIVERY_BYTES}) is planned all the same,
 * so that it ends as undeliverable and is listed. Never throws.
 *
 * @param newId Makes delivery ids. Default: random UUIDs.
 */
export function planDelivery(
  ended: EndedTask,
  words: Vocabulary,
  newId: () => string = randomUUID,
): NewDelivery | undefined {
  const { task, ending, endedAtMs } = ended
  const on = ending === 'succeeded' ? 'success' : 'failure'
  const destination = on === 'success' ? task.destinations?.onSuccess : task.destinations?.onFailure
  if (destination === undefined) return undefined
  const { account, namespace, functionName, requestId, depth = 0 } = task
  return {
    deliveryId: newId(),
    account,
    namespace,
    functionName,
    requestId,
    on,
    destination,
    depth,
    ...wordingOf(ended, words.get(destination.dialect)),
    createdAtMs: endedAtMs,
  }
}

/** Why a delivery has no words; undefined when it has. */
export function unsayableReason({
  contentType,
  body,
}: Pick<NewDelivery, 'contentType' | 'body'>): string | undefined {
  return contentType === UNSAYABLE ? body.toString() : undefined
}

type Wording = Pick<NewDelivery, 'body' | 'contentType'>

function wordingOf(ended: EndedTask, words: DestinationWords | undefined): Wording {
  if (words === undefined) return unsayable('dialect-unknown')
  try {
    const wording = words.bodyOf(ended)
    return wording.body.length > DELIVERY_BYTES ? unsayable('body-too-large') : wording
  } catch {
    return unsayable('body-failed')
  }
}

function unsayable(reason: string): Wording {
  return { contentType: UNSAYABLE, body: Buffer.from(reason) }
}
