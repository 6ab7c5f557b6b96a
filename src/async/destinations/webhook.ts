import type { KeyObject } from 'node:crypto'
import * as http from 'node:http'
import * as https from 'node:https'
import type { LookupFunction } from 'node:net'
import type { ClaimedDelivery } from '../../store/outbox.ts'
import type { Clock } from '../clock.ts'
import type { Verdict } from './delivery-policy.ts'
import { isPublicAddress } from './webhook-addresses.ts'
import { statusOf } from './webhook-answer.ts'
import { resolveName, type Address } from './webhook-names.ts'
import { signatureHeaders, webhookKeyOf } from './webhook-signature.ts'

/** For a try as a whole: the name, the connection, the message, the answer. */
export const WEBHOOK_TIMEOUT_MS = 10_000
const ANSWER_HEAD_BYTES = 16 * 1024

export interface WebhookOptions {
  /** The accounts' keys are derived from it. */
  readonly key: KeyObject
  /** Where webhooks may be: on the public Internet, or anywhere this server reaches, itself too. */
  readonly addresses: 'public' | 'any'
  readonly clock: Clock
  /** Epoch milliseconds for signatures: receivers compare them with their own clocks. Default the system's clock. */
  readonly now?: () => number
  /** All addresses of a name, or of an address; the signal calls it off. Default: {@link resolveName}. */
  readonly resolve?: (hostname: string, signal: AbortSignal) => Promise<readonly Address[]>
}

/** Posts deliveries to webhooks. */
export class WebhookClient {
  readonly #options: WebhookOptions

  constructor(options: WebhookOptions) {
    this.#options = options
  }

  /**
   * One try. The name is resolved once, its addresses are checked, and the connection goes to one of them: what a name says
   * later changes nothing. Redirects are not followed. Each try takes the next of the addresses.
   *
   * Never rejects. 2xx: delivered. 5xx, 429, and whatever keeps the head of an answer from coming within {@link WEBHOOK_TIMEOUT_MS}:
   * failed. Any other answer, to go on in another protocol (101) too, and an address that is not allowed: refused. The rest of an answer
   * is read for a second and cut off then: nothing of a try outlives it.
   */
  async post(delivery: ClaimedDelivery, text: string, signal: AbortSignal): Promise<Verdict> {
    const url = parseWebhookUrl(text)
    if (url === undefined) return { kind: 'refused', reason: 'webhook-url-invalid' }
    const deadline = new AbortController()
    const cancel = this.#options.clock.after(WEBHOOK_TIMEOUT_MS, () => deadline.abort())
    const over = AbortSignal.any([signal, deadline.signal])
    try {
      const address = await this.#addressOf(url, delivery.attempts, over)
      if (address === undefined) return { kind: 'refused', reason: 'webhook-address-refused' }
      return verdictOf(await this.#send(url, address, delivery, over))
    } catch (error) {
      if (deadline.signal.aborted) return { kind: 'failed', reason: 'webhook-timeout' }
      return { kind: 'failed', reason: `webhook-network ${codeOf(error)}` }
    } finally {
      cancel()
    }
  }

  async #addressOf(url: URL, attempts: number, over: AbortSignal): Promise<Address | undefined> {
    const { resolve = resolveName, addresses } = this.#options
    const found = await before(over, resolve(url.hostname.replaceAll(/^\[|\]$/g, ''), over))
    const allowed = addresses === 'any' ? found : found.filter(({ address }) => isPublicAddress(address))
    return allowed[attempts % Math.max(1, allowed.length)]
  }

  /** @returns The status of the answer. */
  #send(
    url: URL,
    { address, family }: Address,
    delivery: ClaimedDelivery,
    over: AbortSignal,
  ): Promise<number> {
    const pinned: LookupFunction = (_hostname, options, found) => {
      if (options.all === true) found(null, [{ address, family }])
      else found(null, address, family)
    }
    const { request } = url.protocol === 'https:' ? https : http
    const outgoing = request(url, {
      method: 'POST',
      headers: this.#headersOf(delivery),
      lookup: pinned,
      // A connection of its own: one that is kept would outlive the check of its address.
      agent: false,
      maxHeaderSize: ANSWER_HEAD_BYTES,
    })
    const answered = statusOf(outgoing, this.#options.clock, over)
    outgoing.end(delivery.body)
    return answered
  }

  #headersOf({ account, deliveryId, body, contentType }: ClaimedDelivery): Record<string, string | number> {
    const { key, now = Date.now } = this.#options
    return {
      'content-type': contentType,
      'content-length': body.length,
      'user-agent': 'anvoke-webhooks',
      ...signatureHeaders(webhookKeyOf(key, account), { id: deliveryId, atMs: now(), body }),
    }
  }
}

/** A webhook's URL: HTTP or HTTPS, without a user or password (they would be listed with it); undefined for others. */
export function parseWebhookUrl(text: string): URL | undefined {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) return undefined
  return url.username === '' && url.password === '' ? url : undefined
}

function verdictOf(status: number): Verdict {
  if (status >= 200 && status < 300) return { kind: 'delivered' }
  const mayPass = status >= 500 || status === 429
  return { kind: mayPass ? 'failed' : 'refused', reason: `webhook-status ${status}` }
}

/** What `promised` resolves with, unless the signal comes first. */
async function before<T>(signal: AbortSignal, promised: Promise<T>): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const abort = (): void => aborted.reject(new DOMException('too late', 'AbortError'))
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([promised, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function codeOf(error: unknown): string {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : 'failure'
}
