import { parentPort } from 'node:worker_threads'
import type { IntakeReply, IntakeRequest } from './intake-jobs.ts'
import { performIntakeJob } from './intake-jobs.ts'
import { toPackageError } from './package-error.ts'

/* The entry of the intake thread: answers every request it is sent, in order of arrival, one at a time. */

async function answer(request: IntakeRequest): Promise<IntakeReply> {
  try {
    return { ok: true, result: await performIntakeJob(request) }
  } catch (error) {
    const { code, details } = toPackageError(error)
    return { ok: false, code, details }
  }
}

const port = parentPort
if (port === null) throw new Error('intake-worker runs only as a worker thread')
port.on('message', (request: IntakeRequest) => {
  void answer(request).then((reply) => port.postMessage(reply))
})
