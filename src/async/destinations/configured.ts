import { isIP } from 'node:net'
import { EngineError } from '../../model/errors.ts'
import type { InvokeTarget } from '../../model/invocation.ts'
import type { Destination } from '../../store/outbox.ts'
import type { DeliveryMeans } from './delivery-attempt.ts'
import type { Vocabulary } from './planner.ts'
import { parseWebhookUrl, type WebhookOptions } from './webhook.ts'
import { isPublicAddress } from './webhook-addresses.ts'

/** A destination that was configured and would be refused, as things are. */
export interface RefusedDestination {
  readonly on: 'success' | 'failure'
  /** A function's name, or a webhook's origin: the rest of an URL may be a secret. */
  readonly destination: string
  /** As that of a delivery that is undeliverable for it. */
  readonly reason: string
}

export interface ConfiguredMeans extends Pick<DeliveryMeans, 'requireFunction'> {
  readonly words: Vocabulary
  /** Where webhooks may be. */
  readonly addresses: WebhookOptions['addresses']
}

/**
 * The destinations of a function that would be refused if one of its calls ended now: for the operator, when they are configured. Names of
 * webhooks are not looked up, and what only a vendor has is none of them. Never throws.
 */
export function refusedDestinations(of: InvokeTarget, means: ConfiguredMeans): readonly RefusedDestination[] {
  return [...means.words.values()].flatMap((dialect) => {
    try {
      const { onSuccess, onFailure } = dialect.settingsOf(of).destinations ?? {}
      return [...refusedOf('success', onSuccess, means), ...refusedOf('failure', onFailure, means)]
    } catch {
      // Settings that cannot be read are told of when a call wants them.
      return []
    }
  })
}

function refusedOf(
  on: RefusedDestination['on'],
  configured: Destination | undefined,
  { requireFunction, addresses }: ConfiguredMeans,
): readonly RefusedDestination[] {
  if (configured === undefined) return []
  const { target } = configured
  switch (target.kind) {
    case 'unreachable':
      return []
    case 'webhook': {
      const reason = refusalOfUrl(target.url, addresses)
      return reason === undefined
        ? []
        : [{ on, destination: URL.parse(target.url)?.origin ?? 'webhook', reason }]
    }
    case 'function': {
      const { kind: _kind, ...called } = target
      try {
        requireFunction(called)
        return []
      } catch (error) {
        if (!(error instanceof EngineError)) throw error
        return [{ on, destination: `${target.namespace}/${target.name}`, reason: error.code }]
      }
    }
  }
}

function refusalOfUrl(text: string, addresses: ConfiguredMeans['addresses']): string | undefined {
  const url = parseWebhookUrl(text)
  if (url === undefined) return 'webhook-url-invalid'
  if (addresses === 'any') return undefined
  const host = url.hostname.replaceAll(/^\[|\]$/g, '')
  const isLocal = /(?:^|\.)localhost\.?$/.test(host)
  return isLocal || (isIP(host) !== 0 && !isPublicAddress(host)) ? 'webhook-address-refused' : undefined
}
