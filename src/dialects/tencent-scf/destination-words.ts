import type { DestinationWords, EndedTask } from '../../async/destination-words.ts'
import { failureOf } from '../../contracts/tencent-scf.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import { EngineError } from '../../model/errors.ts'
import { toBuffer } from '../../model/payload.ts'
import { utf8OrBase64 } from '../../model/utf8.ts'
import { INVOKE_TYPE, treatmentOf, UNTREATED } from './async-settings.ts'
import { failureCodeOf, SUCCESS_CODE } from './async-status.ts'
import { appIdOf, uinOf } from './identity.ts'
import { shownQualifier } from './targets.ts'
import { formatTimeMicros } from './times.ts'

/** Kept of a failure or a result: with the event, which has 128 KB at most, it fits into a message. */
const MAX_MESSAGE_CHARS = 64 * 1024

/**
 * What this API tells of asynchronous calls that came to nothing, and how it treats the calls that functions get for that.
 *
 * Source of the shape: the vendor's page on dead-letter queues.
 */
export function createDestinationWords({ catalogue }: { readonly catalogue: Definitions }): DestinationWords {
  return {
    bodyOf: (ended) => ({
      body: Buffer.from(JSON.stringify(letterOf(ended))),
      contentType: 'application/json',
    }),
    settingsOf: (target) => {
      try {
        return treatmentOf(catalogue, target)
      } catch (error) {
        if (error instanceof EngineError) return UNTREATED
        throw error
      }
    },
  }
}

function letterOf(ended: EndedTask): object {
  const { task, ending, attempts, lastError } = ended
  const uin = uinOf(task.account)
  return {
    RequestId: task.requestId,
    ErrorCode: ending === 'succeeded' ? SUCCESS_CODE : failureCodeOf(lastError),
    ErrorMessage: messageOf(ended).slice(0, MAX_MESSAGE_CHARS),
    Body: {
      AppId: Number(appIdOf(task.account)),
      Uin: uin,
      SubAccountUin: uin,
      RequestSource: task.source ?? INVOKE_TYPE,
      FunctionName: task.functionName,
      Namespace: task.namespace,
      Qualifier: shownQualifier(task.qualifier),
      InvocationType: 'Event',
      ClientContext: utf8OrBase64(task.payload),
      LogType: '',
      TimeStampForInvoker: String(task.acceptedAtMs),
      RequestId: task.requestId,
      PushTime: `${formatTimeMicros(ended.endedAtMs).replace(' ', 'T')}000+08:00`,
      RetryNum: Math.max(0, attempts - 1),
      Ttl: Math.ceil((task.expiresAtMs - task.acceptedAtMs) / 1000),
    },
  }
}

/** The failure's body, or the result. */
function messageOf({ task, outcome, lastError = '' }: EndedTask): string {
  if (outcome === undefined) return lastError
  const failure = failureOf(outcome, task.requestId)
  if (failure !== undefined) return failure.body
  return 'payload' in outcome ? utf8OrBase64(toBuffer(outcome.payload)) : lastError
}
