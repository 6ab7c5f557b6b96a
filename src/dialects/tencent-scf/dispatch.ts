import type { Exchange, Reply } from '../../http/exchange.ts'
import { originOf } from '../../intake/request-head.ts'
import { newRequestId } from '../../model/request-id.ts'
import type { Api, Rooms } from './operation.ts'
import { regionOf } from './regions.ts'
import { answerReply, failureOf, failureReply, traceOf } from './replies.ts'
import { readLegacyRequest, readRequest, type RequestRooms } from './request.ts'

/** Everything requests of this dialect are answered with. */
export interface DispatchRooms extends Rooms, RequestRooms {
  /** The listener's port, once it has one. */
  readonly ownPort: () => number | undefined
  /** Told of failures that are this server's own. */
  readonly observe: (error: unknown) => void
}

/**
 * Answers one request, in this order: check what the head tells of its sender → read the body within its limit → compare
 * the signature → decode → run. Never rejects.
 */
export async function dispatch(exchange: Exchange, rooms: DispatchRooms): Promise<Reply> {
  const api = apiOf(exchange.rawPath)
  const trace = traceOf(newRequestId(), exchange.headers)
  try {
    const { definition, action, accountId, region, params, takeZipFile } =
      api === '3.0' ? await readRequest(exchange, rooms) : await readLegacyRequest(exchange, rooms)
    const answer = await definition.run(
      {
        api,
        action,
        requestId: trace.requestId,
        accountId,
        region: regionOf(region, rooms.region),
        params,
        takeZipFile,
        origin: originOf(exchange.headers.host, rooms.ownPort()),
        exchange,
      },
      rooms,
    )
    return answerReply(api, answer, trace)
  } catch (error) {
    const { refusal, unexpected } = failureOf(error)
    if (unexpected) rooms.observe(error)
    return failureReply(api, refusal, trace)
  }
}

/** Whether a path is the legacy API's; one vendor sample has a slash at its end. */
export function isLegacyPath(rawPath: string): boolean {
  return rawPath === '/v2/index.php' || rawPath === '/v2/index.php/'
}

function apiOf(rawPath: string): Api {
  return isLegacyPath(rawPath) ? '2.0' : '3.0'
}
