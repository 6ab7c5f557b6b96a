import { createHmac, type KeyObject } from 'node:crypto'

/** Bytes of the key that one account's webhooks are signed with. */
export type WebhookKey = Buffer

/** The key of one account, so that who verifies for one can sign for no other. */
export function webhookKeyOf(serverKey: KeyObject, account: string): WebhookKey {
  return createHmac('sha256', serverKey).update(account).digest()
}

/** The key as libraries of Standard Webhooks take it. Secret. */
export function formatWebhookSecret(key: WebhookKey): string {
  return `whsec_${key.toString('base64')}`
}

/**
 * The headers by which a receiver knows that a message is ours, whole, and recent: HMAC-SHA256 over id, time and body.
 * Source: Standard Webhooks, specification 1.0.0, symmetric signatures.
 *
 * @param id The same over all tries of a message: what a receiver tells repeats by.
 * @param atMs Epoch milliseconds of the try.
 */
export function signatureHeaders(
  key: WebhookKey,
  { id, atMs, body }: { readonly id: string; readonly atMs: number; readonly body: Buffer },
): Record<'webhook-id' | 'webhook-timestamp' | 'webhook-signature', string> {
  const timestamp = String(Math.floor(atMs / 1000))
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` }
}
