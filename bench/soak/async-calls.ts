import { signTc3 } from '../entrances.ts'
import type { RunningAnvoke } from '../systems/anvoke.ts'
import { soakFunctions } from './functions.ts'

/** What the server tells about its asynchronous calls, all functions together. */
export interface AsyncCalls {
  readonly accepted: number
  /** Waiting or running. */
  readonly open: number
}

interface Answer {
  readonly Response: { readonly TotalCount?: number; readonly Error?: { readonly Message: string } }
}

/** Asks through the API that lists asynchronous calls of any function, however it was called. */
export async function readAsyncCalls(server: RunningAnvoke, signal: AbortSignal): Promise<AsyncCalls> {
  const counts = await Promise.all(
    soakFunctions.map(async ({ settings: { functionName } }) => ({
      accepted: await count(functionName, []),
      open: await count(functionName, ['RUNNING']),
    })),
  )
  return {
    accepted: counts.reduce((sum, one) => sum + one.accepted, 0),
    open: counts.reduce((sum, one) => sum + one.open, 0),
  }

  async function count(functionName: string, statuses: readonly string[]): Promise<number> {
    const body = JSON.stringify({
      Namespace: server.service,
      FunctionName: functionName,
      Limit: 1,
      ...(statuses.length === 0 ? {} : { Status: statuses }),
    })
    const headers = signTc3(server.credentials, new URL(server.origin).host, 'ListAsyncEvents', body)
    const response = await fetch(`${server.origin}/`, { method: 'POST', headers, body, signal })
    const { Response }: Answer = JSON.parse(await response.text())
    if (Response.TotalCount === undefined)
      throw new Error(`asynchronous calls of ${functionName}: ${Response.Error?.Message ?? response.status}`)
    return Response.TotalCount
  }
}
