import type { WebhookSecret } from '../control/api.ts'
import { askServer, type DoorOptions } from './queue/door.ts'
import { toJson } from './queue/text.ts'

/** `anvoke webhook-secret`: prints what receivers verify the webhooks of an account with. */
export async function printWebhookSecret(options: DoorOptions): Promise<void> {
  const { account } = options
  const answer = await askServer(options, (client) =>
    client.ask<WebhookSecret>({ path: ['webhook-secret'], query: { account } }),
  )
  process.stdout.write(options.json === true ? toJson(answer) : `${answer.secret}\n`)
}
