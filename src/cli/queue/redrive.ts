import type { QueueView, Redriven, RedrivenPage } from '../../control/api.ts'
import { OperationRefused, type ControlClient } from '../../control/client.ts'
import { CommandFailed, EXIT } from '../complaint.ts'
import { askServer, type DoorOptions, type QueueName } from './door.ts'
import { endedRange, type EndedOptions } from './tasks.ts'
import { counted, oneLine, toJson } from './text.ts'

/** Calls accepted anew in one step: what runs meanwhile waits for it. */
const STEP = 500
/** Ids that are named in one step. */
const MAX_NAMED = 500
/** Ids of new calls that people are shown. */
const MAX_SHOWN = 20

export interface RedriveOptions extends EndedOptions {
  readonly limit?: string
}

/**
 * `anvoke queue redrive`: accepts failed and expired calls anew, the oldest first; those that fail meanwhile are not among them.
 * The exit code becomes 1 when the queue had no room for all, or calls that were named cannot be accepted anew.
 */
export async function redriveQueue(
  queue: QueueName,
  requestIds: readonly string[],
  options: DoorOptions & RedriveOptions,
): Promise<void> {
  const range = endedRange(options)
  const most = parseMost(options.limit)
  const { redriven, stoppedBy } = await askServer(options, (client) => {
    const steps = new Redrive(client, queue, options.account)
    return requestIds.length > 0 ? steps.named([...new Set(requestIds)], range) : steps.all(most, range)
  })
  const done = new Set(redriven.map(({ causedBy }) => causedBy))
  const left = requestIds.filter((requestId) => !done.has(requestId))
  if (options.json === true) process.stdout.write(toJson({ items: redriven, left }))
  else {
    const name = `${queue.namespace}/${queue.name}`
    const ids = redriven.slice(0, MAX_SHOWN).map(({ requestId }) => `  ${oneLine(requestId)}\n`)
    const more =
      redriven.length > MAX_SHOWN ? `  and ${redriven.length - MAX_SHOWN} more: --json names all\n` : ''
    process.stdout.write(
      `${counted(redriven.length, 'call')} of ${name} accepted anew.\n${ids.join('')}${more}`,
    )
  }
  if (stoppedBy !== undefined)
    throw new CommandFailed({
      what: 'there was no room for more',
      why: stoppedBy.message,
      fix: stoppedBy.fix ?? 'the same command goes on where this one stopped',
    })
  if (left.length > 0)
    throw new CommandFailed({
      what: `${counted(left.length, 'call')} cannot be accepted anew`,
      why: `${oneLine(left.slice(0, 5).join(', '))}: no failed or expired call of this function, or accepted anew before`,
      fix: '`anvoke queue task REQUEST-ID` shows what became of one',
    })
}

interface Range {
  readonly endedFromMs: number | undefined
  readonly endedToMs: number | undefined
}

interface Outcome {
  readonly redriven: readonly Redriven[]
  /** The queue has no room for the next. */
  readonly stoppedBy?: OperationRefused
}

/** Steps until everything that is meant is done, or the queue is full. */
class Redrive {
  readonly #client: ControlClient
  readonly #path: readonly string[]
  readonly #query: { readonly account: string | undefined }
  readonly #redriven: Redriven[] = []

  constructor(client: ControlClient, { namespace, name }: QueueName, account: string | undefined) {
    this.#client = client
    this.#path = ['queues', namespace, name]
    this.#query = { account }
  }

  async named(requestIds: readonly string[], range: Range): Promise<Outcome> {
    for (let first = 0; first < requestIds.length; first += MAX_NAMED) {
      let left = requestIds.slice(first, first + MAX_NAMED)
      while (left.length > 0) {
        const { step, stoppedBy } = await this.#step(left.length, { ...range, requestIds: left })
        if (stoppedBy !== undefined) return { redriven: this.#redriven, stoppedBy }
        if (step.length === 0) break
        const done = new Set(step.map(({ causedBy }) => causedBy))
        left = left.filter((requestId) => !done.has(requestId))
      }
    }
    return { redriven: this.#redriven }
  }

  /** Calls that fail again while this goes on ended after it began: they are left alone. */
  async all(most: number, { endedFromMs, endedToMs }: Range): Promise<Outcome> {
    const { nowMs } = await this.#client.ask<QueueView>({ path: this.#path, query: this.#query })
    const untilMs = Math.min(endedToMs ?? nowMs, nowMs)
    let fromMs = endedFromMs
    while (this.#redriven.length < most) {
      const limit = Math.min(STEP, most - this.#redriven.length)
      const { step, stoppedBy } = await this.#step(limit, { endedFromMs: fromMs, endedToMs: untilMs })
      if (stoppedBy !== undefined) return { redriven: this.#redriven, stoppedBy }
      const last = step.at(-1)
      if (last === undefined) break
      fromMs = last.endedAtMs
    }
    return { redriven: this.#redriven }
  }

  /** One step is done as a whole or not at all: where there is no room for it, smaller ones are tried. */
  async #step(
    limit: number,
    which: object,
  ): Promise<{ readonly step: readonly Redriven[]; readonly stoppedBy?: OperationRefused }> {
    const step: Redriven[] = []
    let size = limit
    while (step.length < limit) {
      try {
        const { redriven } = await this.#client.ask<RedrivenPage>({
          method: 'POST',
          path: [...this.#path, 'redrive'],
          query: this.#query,
          body: { ...which, limit: Math.min(size, limit - step.length) },
        })
        step.push(...redriven)
        this.#redriven.push(...redriven)
        if (redriven.length === 0 || size === limit) return { step }
      } catch (error) {
        if (!(error instanceof OperationRefused) || error.code !== 'caller/queue-full') throw error
        if (size === 1) return { step, stoppedBy: error }
        size = Math.floor(size / 2)
      }
    }
    return { step }
  }
}

function parseMost(text: string | undefined): number {
  if (text === undefined) return Number.POSITIVE_INFINITY
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text)
  throw new CommandFailed(
    {
      what: `'${text.slice(0, 100)}' is no limit`,
      why: 'it is a number of calls, 1 or more',
      fix: 'give one, or none for all',
    },
    { exitCode: EXIT.usage },
  )
}
