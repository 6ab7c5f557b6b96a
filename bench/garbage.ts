import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { Child } from './process.ts'

const answerMs = 10_000

/** Options for a Node process whose inspector is going to be opened: on any free loopback port. */
export const inspectable: readonly string[] = ['--inspect-port=127.0.0.1:0']

interface InspectorReply {
  readonly id?: number
  readonly error?: { readonly message: string }
  readonly result?: { readonly usedSize?: number; readonly backingStorageSize?: number }
}

/**
 * Opens the inspector of a running Node process, as every one of them does on SIGUSR1: the measured program needs
 * no door for it. Returns its address. Call it once, soon after the start: the address is read from stderr.
 */
export async function openInspector(child: Child, signal: AbortSignal): Promise<string> {
  process.kill(child.pid, 'SIGUSR1')
  for (let waitedMs = 0; waitedMs < answerMs; waitedMs += 20) {
    const url = /Debugger listening on (ws:\S+)/.exec(child.stderrTail)?.[1]
    if (url !== undefined) return url
    await delay(20, undefined, { signal })
  }
  throw new Error(`${child.name} opened no inspector`)
}

/** Has all garbage collected; returns what is still in use, in bytes: JavaScript heap and contents of buffers. */
export async function collectGarbage(inspectorUrl: string, signal: AbortSignal): Promise<number> {
  const socket = new WebSocket(inspectorUrl)
  try {
    await once(socket, 'open', { signal: bounded() })
    await call(1, 'HeapProfiler.collectGarbage')
    const { usedSize = 0, backingStorageSize = 0 } = await call(2, 'Runtime.getHeapUsage')
    return usedSize + backingStorageSize
  } finally {
    socket.close()
  }

  async function call(id: number, method: string) {
    const answered = once(socket, 'message', { signal: bounded() })
    socket.send(JSON.stringify({ id, method }))
    const [event]: { readonly data: string }[] = await answered
    const reply: InspectorReply = JSON.parse(event?.data ?? '{}')
    if (reply.id !== id || reply.result === undefined) {
      throw new Error(`${method}: ${reply.error?.message ?? 'no answer'}`)
    }
    return reply.result
  }

  function bounded() {
    return AbortSignal.any([signal, AbortSignal.timeout(answerMs)])
  }
}
