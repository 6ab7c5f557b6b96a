import type { DestinationTarget } from '../../store/outbox.ts'
import { splitServiceSegment } from './names.ts'

/** Longest destination, characters. The vendor publishes no number. */
export const DESTINATION_CHARS = 1024

/** Queues, topics, event buses and RocketMQ topics: what only the vendor has. */
const VENDOR_ONLY =
  /^acs:(?:mns:[^:\s]*:[^:\s]*:\/?(?:queues|topics)\/[^/\s]+(?:\/messages)?|(?:eventbridge|mq):[^:\s]*:[^:\s]*:\S+)$/

/** `services/{service}[.{qualifier}]/functions/{function}`, or of the younger generation `functions/{function}[/{qualifier}]`. */
const FUNCTION =
  /^acs:fc:[^:\s]*:(?<owner>[^:\s]*):(?:services\/(?<service>[^/\s]+)\/functions\/(?<name>[^/\s]+)|functions\/[^/\s]+(?:\/[^/\s]+)?)$/

/**
 * Where a destination of an asynchronous configuration leads.
 *
 * A function of this API and account is one that can be called; those of other accounts and of the younger generation, which has no
 * services, are out of reach, as is what only the vendor has. An `http://` or `https://` address is an addition of this server.
 *
 * @returns undefined for what is no destination at all
 */
export function targetOf(destination: string, account: string): DestinationTarget | undefined {
  if (destination.length > DESTINATION_CHARS) return undefined
  if (/^https?:\/\//.test(destination)) return webhook(destination)
  const groups = FUNCTION.exec(destination)?.groups
  if (groups === undefined)
    return VENDOR_ONLY.test(destination) ? { kind: 'unreachable', name: destination } : undefined
  const { owner, service: segment, name } = groups
  if (owner !== account || segment === undefined || name === undefined)
    return { kind: 'unreachable', name: destination }
  const { service, qualifier } = splitServiceSegment(segment)
  return {
    kind: 'function',
    account,
    namespace: service,
    name,
    ...(qualifier === undefined || qualifier === 'LATEST' ? {} : { qualifier }),
  }
}

function webhook(address: string): DestinationTarget | undefined {
  const url = URL.parse(address)
  if (url === null || url.username !== '' || url.password !== '') return undefined
  return { kind: 'webhook', url: address }
}
