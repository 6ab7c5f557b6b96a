import type { KeyObject } from 'node:crypto'
import { formatWebhookSecret, webhookKeyOf } from '../async/destinations/webhook-signature.ts'
import type { Tasks } from '../async/tasks.ts'
import type { Catalogue } from '../engine/catalogue.ts'
import type { OperatorLog } from '../observe/operator-log.ts'
import type { Outbox } from '../store/outbox.ts'
import { ControlDoor } from './door.ts'
import { Queues } from './queues.ts'
import type { UsualLimits } from './views.ts'

interface Rooms {
  /** Of this server alone: its store is open. */
  readonly dataDir: string
  /** The account that is meant where none is named. */
  readonly account: string
  readonly tasks: Tasks
  readonly outbox: Outbox
  /** Makes what is due in the outbox. */
  readonly destinations: { notify(): void }
  readonly catalogue: Pick<Catalogue, 'list'>
  readonly usualLimits: UsualLimits
  /** The server's, from which those of accounts are derived. */
  readonly webhookKey: KeyObject
  readonly log: OperatorLog
}

/**
 * Opens the administrator's door. A data directory that can hold no socket, as on some network file systems, is no reason to serve nobody:
 * the operator is told, and there is no door.
 */
export async function openControl(rooms: Rooms): Promise<{ close(): Promise<void> }> {
  const { dataDir, account, tasks, outbox, destinations, catalogue, usualLimits, webhookKey, log } = rooms
  try {
    return await ControlDoor.open(
      dataDir,
      {
        queues: new Queues(tasks, catalogue),
        tasks,
        audit: oneAtATime(() => tasks.audit()),
        outbox,
        notifyDestinations: () => destinations.notify(),
        account,
        usualLimits,
        webhookSecretOf: (of) => formatWebhookSecret(webhookKeyOf(webhookKey, of)),
        onChange: (what, fields) => log.info(what, fields),
      },
      { onFault: (error) => log.error('a request of an administrator failed', { error }) },
    )
  } catch (error) {
    log.error('queues cannot be looked after: there is no control socket', { error })
    return { close: () => Promise.resolve() }
  }
}

/** Those who ask while it runs get the answer of that run. */
function oneAtATime<T>(run: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  return () =>
    (running ??= run().finally(() => {
      running = undefined
    }))
}
