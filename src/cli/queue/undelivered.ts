import type { DeliveryView, Page } from '../../control/api.ts'
import { askServer, type DoorOptions, type QueueName } from './door.ts'
import { tellOfMore, type PageOptions } from './show.ts'
import { targetOf, textOf } from './tasks.ts'
import { manyLines, momentOf, table, toJson } from './text.ts'

/** `anvoke queue undelivered`: endings that their destinations could not be told, newest first. */
export async function listUndelivered(
  queue: QueueName | undefined,
  options: DoorOptions & PageOptions & { readonly body?: boolean },
): Promise<void> {
  const { account, limit, after } = options
  const body = options.body === true ? 'true' : undefined
  const query = { account, namespace: queue?.namespace, function: queue?.name, limit, after, body }
  const page = await askServer(options, (client) =>
    client.ask<Page<DeliveryView>>({ path: ['undeliverable'], query }),
  )
  if (options.json === true) {
    process.stdout.write(toJson(page))
    return
  }
  if (page.items.length === 0) process.stderr.write('Nothing is undeliverable.\n')
  else
    process.stdout.write(options.body === true ? page.items.map(renderWhole).join('\n') : render(page.items))
  tellOfMore(page)
  if (page.items.some(({ lastError }) => lastError === 'webhook-address-refused')) process.stderr.write(FIX)
}

/** The server's own name for it; its log says the same. */
const FIX =
  'webhook-address-refused: start the server with --webhook-addresses any, then tell them again: anvoke queue redeliver NAMESPACE/FUNCTION\n'

function render(deliveries: readonly DeliveryView[]): string {
  return table(
    ['GIVEN UP', 'QUEUE', 'REQUEST', 'ON', 'TRIES', 'REASON', 'DESTINATION'],
    deliveries.map((delivery) => [
      delivery.endedAtMs === undefined ? '-' : momentOf(delivery.endedAtMs),
      `${delivery.namespace}/${delivery.functionName}`,
      delivery.requestId,
      delivery.on,
      delivery.attempts,
      delivery.lastError ?? '-',
      targetOf(delivery.destination),
    ]),
  )
}

function renderWhole(delivery: DeliveryView): string {
  const { body } = delivery
  return body === undefined ? render([delivery]) : `${render([delivery])}${manyLines(textOf(body))}\n`
}
