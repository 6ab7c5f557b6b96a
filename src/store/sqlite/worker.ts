import type { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { BatchRunner } from './batch.ts'
import { openDatabase } from './database.ts'
import type { FromWorker, ToWorker, WorkerStart } from './operations.ts'
import { isDamage, isFatal } from './sqlite-error.ts'
import { StoreDamaged, StoreRefused } from './store-refused.ts'

/**
 * The thread that owns the database: everything that waits for the disk happens here. It serves batches one after
 * another. An error that escapes ends the thread, which the store notices. After a fault of the disk it stands still with the database
 * open: closing it, or ending the thread, would write what is in the log into the database, and remove the log.
 */
function serve(port: MessagePort, { file, limits }: WorkerStart): void {
  const reply = (message: FromWorker, moved: ArrayBuffer[] = []): void => port.postMessage(message, moved)

  let database: DatabaseSync | undefined
  let runner: BatchRunner
  try {
    database = openDatabase(file)
    runner = new BatchRunner(database, limits)
  } catch (error) {
    database?.close()
    const isNamed = error instanceof StoreRefused || error instanceof StoreDamaged
    const reason = isNamed ? error.reason : String(error)
    reply({ kind: 'refused', reason, isDamage: error instanceof StoreDamaged || isDamage(error) })
    return
  }
  const opened = database

  let hasFailed = false
  const fail = (error: Error): void => {
    hasFailed = true
    reply({ kind: 'failed', reason: error.message, isDamage: isDamage(error) })
  }
  port.on('message', (message: ToWorker) => {
    if (hasFailed) return
    if (message.kind === 'close') {
      runner.close()
      try {
        opened.exec('PRAGMA wal_checkpoint(TRUNCATE)')
      } catch (error) {
        if (isFatal(error)) {
          fail(error)
          return
        }
        // Without room on the disk the log stays as it is; the next start reads it.
      }
      opened.close()
      reply({ kind: 'closed' })
      port.close()
      return
    }
    const leaving: ArrayBuffer[] = []
    const { results, fatal } = runner.run(message.operations, { arriving: message.payloads, leaving })
    if (fatal === undefined) {
      reply({ kind: 'done', results, commits: runner.commits }, leaving)
      return
    }
    fail(fatal)
  })
  reply({ kind: 'opened' })
}

if (parentPort === null) throw new Error('the store is served by a worker thread')
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- given by database-thread.ts
serve(parentPort, workerData as WorkerStart)
