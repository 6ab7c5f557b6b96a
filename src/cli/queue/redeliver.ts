import type { QueueView, Redelivered, RedeliveredPage } from '../../control/api.ts'
import type { ControlClient } from '../../control/client.ts'
import { CommandFailed } from '../complaint.ts'
import { askServer, type DoorOptions, type QueueName } from './door.ts'
import { endedRange, type EndedOptions } from './tasks.ts'
import { counted, oneLine, toJson } from './text.ts'

/** Endings that are told again in one step: what runs meanwhile waits for it. */
const STEP = 500

/**
 * `anvoke queue redeliver`: tells endings that could not be told once more, those given up first come first; what is given up meanwhile is
 * not among them. The exit code becomes 1 when there was no room for all to wait, or endings that were named cannot be told again.
 */
export async function redeliverEndings(
  queue: QueueName,
  requestIds: readonly string[],
  options: DoorOptions & EndedOptions,
): Promise<void> {
  const range = endedRange(options)
  const { redelivered, isFull } = await askServer(options, async (client) => {
    const steps = new Steps(client, queue, options.account)
    for (let first = 0; first < requestIds.length; first += STEP)
      await steps.take({ ...range, requestIds: requestIds.slice(first, first + STEP) })
    if (requestIds.length === 0) await steps.take(range)
    return steps
  })
  const done = new Set(redelivered.map(({ requestId }) => requestId))
  const left = requestIds.filter((requestId) => !done.has(requestId))
  const name = `${queue.namespace}/${queue.name}`
  process.stdout.write(
    options.json === true
      ? toJson({ items: redelivered, left })
      : `${counted(redelivered.length, 'ending')} of ${name} ${redelivered.length === 1 ? 'is' : 'are'} told again.\n`,
  )
  if (isFull)
    throw new CommandFailed({
      what: 'there was no room for more',
      why: 'only so many endings may wait to be told',
      fix: 'wait until others are told: the same command goes on where this one stopped',
    })
  if (left.length > 0)
    throw new CommandFailed({
      what: `${counted(left.length, 'ending')} cannot be told again`,
      why: `${oneLine(left.slice(0, 5).join(', '))}: no undeliverable ending of a call of this function`,
      fix: '`anvoke queue undelivered` shows those there are',
    })
}

interface Which {
  readonly requestIds?: readonly string[]
  readonly endedFromMs: number | undefined
  readonly endedToMs: number | undefined
}

/** Steps until everything that is meant is done, or there is no room. */
class Steps {
  readonly #client: ControlClient
  readonly #path: readonly string[]
  readonly #query: { readonly account: string | undefined }
  #beganAtMs: number | undefined
  readonly redelivered: Redelivered[] = []
  isFull = false

  constructor(client: ControlClient, { namespace, name }: QueueName, account: string | undefined) {
    this.#client = client
    this.#path = ['queues', namespace, name]
    this.#query = { account }
  }

  /** What is given up again while this goes on ended after it began: it is left alone. */
  async take({ endedToMs = Number.MAX_SAFE_INTEGER, ...which }: Which): Promise<void> {
    const untilMs = Math.min(endedToMs, await this.#beginning())
    while (!this.isFull) {
      const step = await this.#client.ask<RedeliveredPage>({
        method: 'POST',
        path: [...this.#path, 'redeliver'],
        query: this.#query,
        body: { ...which, endedToMs: untilMs, limit: STEP },
      })
      this.redelivered.push(...step.redelivered)
      this.isFull = step.isFull
      if (step.redelivered.length === 0) return
    }
  }

  async #beginning(): Promise<number> {
    this.#beganAtMs ??= (await this.#client.ask<QueueView>({ path: this.#path, query: this.#query })).nowMs
    return this.#beganAtMs
  }
}
