import { setTimeout as delay } from 'node:timers/promises'
import type { RunningAnvoke } from '../systems/anvoke.ts'
import { contentType, type Workload } from '../workloads.ts'
import { soakFunctions, type SoakFunction } from './functions.ts'

/** Most calls that wait for their answer at once. */
const SYNCHRONOUS_CALLERS = 6
const ASYNCHRONOUS_CALLERS = 1
/** Between two calls of one caller: a steady load with room for other work, not a benchmark. */
const PAUSE_MS = { synchronous: 25, asynchronous: 150 }
/** A caller that is refused waits, as clients do. */
const REFUSED_PAUSE_MS = 200
const MOST_UNEXPECTED = 20

/** What callers saw so far. */
export interface Tally {
  calls: number
  /** Ended as the function's code does by itself. */
  expected: number
  /** Calls that did not end as their function does: their process was killed, as it ran or as it started. */
  interrupted: number
  /** How those ended, in words, with their number. */
  readonly interruptions: Map<string, number>
  /** Refused for want of room (429), to be repeated. */
  refused: number
  /** Asynchronous calls that were answered with 202, by function. */
  readonly accepted: Map<string, number>
  /** The first answers that no client should get, in words. */
  readonly unexpected: string[]
}

/** Callers that send until they are paused. */
export class Load {
  readonly tally: Tally = {
    calls: 0,
    expected: 0,
    interrupted: 0,
    interruptions: new Map(),
    refused: 0,
    accepted: new Map(),
    unexpected: [],
  }
  readonly #server: RunningAnvoke
  readonly #hello: Workload
  readonly #signal: AbortSignal
  #stop: AbortController | undefined
  #callers: Promise<unknown> = Promise.resolve()

  constructor(server: RunningAnvoke, hello: Workload, signal: AbortSignal) {
    this.#server = server
    this.#hello = hello
    this.#signal = signal
  }

  /** Begins, or goes on after a pause. */
  begin(): void {
    const stop = new AbortController()
    this.#stop = stop
    const callers = [
      ...Array.from({ length: SYNCHRONOUS_CALLERS }, () => this.#send(stop.signal, false)),
      ...Array.from({ length: ASYNCHRONOUS_CALLERS }, () => this.#send(stop.signal, true)),
    ]
    this.#callers = Promise.all(callers)
  }

  /** Sends no more; resolves when the last answer has come. */
  async pause(): Promise<void> {
    this.#stop?.abort()
    await this.#callers
  }

  async #send(stop: AbortSignal, isAsynchronous: boolean): Promise<void> {
    const pauseMs = isAsynchronous ? PAUSE_MS.asynchronous : PAUSE_MS.synchronous
    while (!stop.aborted) {
      const refused = await this.#call(pick(), isAsynchronous)
      const wait = refused ? REFUSED_PAUSE_MS : pauseMs * (0.5 + Math.random())
      await delay(wait, undefined, { signal: this.#signal })
    }
  }

  /** @returns Whether the call was refused. */
  async #call({ settings, ends }: SoakFunction, isAsynchronous: boolean): Promise<boolean> {
    const { client, service } = this.#server
    const { tally } = this
    const { functionName } = settings
    const headers = {
      ...client.invokeHeaders(service, functionName, isAsynchronous ? 'Async' : undefined),
      'Content-Type': contentType,
    }
    tally.calls += 1
    const response = await fetch(client.invokeUrl(service, functionName), {
      method: 'POST',
      headers,
      body: this.#hello.body,
      signal: AbortSignal.any([this.#signal, AbortSignal.timeout(60_000)]),
    })
    const body = Buffer.from(await response.arrayBuffer())
    if (response.status === 429) {
      tally.refused += 1
      return true
    }
    const isFailure = response.headers.has('x-fc-error-type')
    const answer = `${functionName}: ${response.status} ${body.toString('utf8', 0, 300)}`
    if (isAsynchronous) {
      if (response.status !== 202) this.#unexpected(answer)
      else tally.accepted.set(functionName, (tally.accepted.get(functionName) ?? 0) + 1)
    } else if (response.ok && (ends === 'failure' ? isFailure : !isFailure && this.#isRight(body)))
      tally.expected += 1
    // A wrong answer is worse than none: only failures that are told as such may come from a kill.
    else if (isFailure || response.status >= 500) this.#interrupted(functionName, response, body)
    else this.#unexpected(answer)
    return false
  }

  #isRight(body: Buffer): boolean {
    return body.equals(this.#hello.expected)
  }

  #interrupted(functionName: string, response: Response, body: Buffer): void {
    const { tally } = this
    tally.interrupted += 1
    // Answers hold request ids and figures: what is left of them tells one kind from another.
    const words = body.toString('utf8', 0, 500).replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}|\d+(?:\.\d+)?/g, '…')
    const how = `${functionName}: ${response.status} ${words}`
    if (tally.interruptions.has(how) || tally.interruptions.size < MOST_UNEXPECTED)
      tally.interruptions.set(how, (tally.interruptions.get(how) ?? 0) + 1)
  }

  #unexpected(answer: string): void {
    if (this.tally.unexpected.length < MOST_UNEXPECTED) this.tally.unexpected.push(answer)
  }
}

const totalWeight = soakFunctions.reduce((sum, { weight }) => sum + weight, 0)

function pick(): SoakFunction {
  let at = Math.random() * totalWeight
  const found = soakFunctions.find(({ weight }) => (at -= weight) < 0) ?? soakFunctions[0]
  if (found === undefined) throw new Error('there are no functions')
  return found
}
