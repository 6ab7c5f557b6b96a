import type { DestinationTarget } from '../../store/outbox.ts'
import { functionNamed } from '../function-names.ts'

/** Longest destination, characters. The vendor publishes no number. */
export const DESTINATION_CHARS = 1024

/** Queues, topics, event buses and RocketMQ topics: what only the vendor has. */
const VENDOR_ONLY =
  /^acs:(?:mns:[^:\s]*:[^:\s]*:\/?(?:queues|topics)\/[^/\s]+(?:\/messages)?|(?:eventbridge|mq):[^:\s]*:[^:\s]*:\S+)$/

/**
 * Where a destination of an asynchronous configuration leads.
 *
 * A function of the account is one that can be called, by the name in full that any API has for it; those of other accounts and of the
 * younger generation, which has no services, are out of reach, as is what only the vendor has. An `http://` or `https://` address is an
 * addition of this server.
 *
 * @returns undefined for what is no destination at all
 */
export function targetOf(destination: string, account: string): DestinationTarget | undefined {
  if (destination.length > DESTINATION_CHARS) return undefined
  if (/^https?:\/\//.test(destination)) return webhook(destination)
  const named = functionNamed(destination, account)
  if (named?.kind === 'function') return { kind: 'function', ...named.target }
  if (named === undefined && !VENDOR_ONLY.test(destination)) return undefined
  return { kind: 'unreachable', name: destination }
}

function webhook(address: string): DestinationTarget | undefined {
  const url = URL.parse(address)
  if (url === null || url.username !== '' || url.password !== '') return undefined
  return { kind: 'webhook', url: address }
}
