import type { Purged, QueueView } from '../../control/api.ts'
import { confirm } from './confirm.ts'
import { askServer, type DoorOptions, type QueueName } from './door.ts'
import { counted, toJson } from './text.ts'

/** Calls changed in one step: what runs meanwhile waits for it. */
const STEP = 500

/** `anvoke queue purge`: cancels the calls that wait now. Those that come meanwhile may be among them, or not. */
export async function purgeQueue(
  { namespace, name }: QueueName,
  options: DoorOptions & { readonly yes?: boolean },
): Promise<void> {
  const path = ['queues', namespace, name]
  const query = { account: options.account }
  const before = await askServer(options, (client) => client.ask<QueueView>({ path, query }))
  if (before.waiting > 0)
    await confirm(
      `This cancels ${counted(before.waiting, 'waiting call')} of ${namespace}/${name} for ever.`,
      options.yes === true,
    )
  const total = await askServer(options, async (client) => {
    let purged = 0
    let waiting = before.waiting
    while (purged < before.waiting) {
      const limit = Math.min(STEP, before.waiting - purged)
      const step = await client.ask<Purged>({
        method: 'POST',
        path: [...path, 'purge'],
        query,
        body: { limit },
      })
      purged += step.purged
      ;({ waiting } = step)
      if (step.purged < limit) break
    }
    return { purged, waiting }
  })
  const { purged, waiting } = total
  process.stdout.write(
    options.json === true
      ? toJson(total)
      : `${counted(purged, 'call')} of ${namespace}/${name} cancelled; ${counted(waiting, 'waits', 'wait')} now.\n`,
  )
}
