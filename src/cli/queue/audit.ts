import type { QueueAudit } from '../../control/api.ts'
import { EXIT } from '../complaint.ts'
import { askServer, type DoorOptions } from './door.ts'
import { facts, toJson } from './text.ts'

/** `anvoke queue audit`: compares the counters with the calls themselves; the exit code becomes 1 where they differ. */
export async function auditQueues(options: DoorOptions): Promise<void> {
  const audit = await askServer(options, (client) => client.ask<QueueAudit>({ path: ['audit'] }))
  const isSound = Object.values(audit).every((count) => count === 0)
  process.exitCode = isSound ? EXIT.ok : EXIT.failed
  if (options.json === true) process.stdout.write(toJson(audit))
  else if (isSound)
    process.stdout.write('The queues are sound: every call that was accepted is accounted for.\n')
  else process.stdout.write(`The queues are NOT sound: please report it.\n${facts(Object.entries(audit))}`)
}
