import { Worker } from 'node:worker_threads'
import type { IntakeJobKind, IntakeJobs, IntakeReply, IntakeRequest } from './intake-jobs.ts'
import { PackageError, shorten } from './package-error.ts'

/** In a checkout this file is TypeScript and so is the worker; in a built package both are JavaScript. */
const WORKER_ENTRY = new URL(
  import.meta.url.endsWith('.ts') ? './intake-worker.ts' : './intake-worker.js',
  import.meta.url,
)
/** V8 heap for the plan of the largest archive; file content lives outside it. */
const WORKER_HEAP_MIB = 512

interface PendingJob {
  readonly request: IntakeRequest
  readonly resolve: (result: IntakeJobs[IntakeJobKind]['result']) => void
  readonly reject: (error: Error) => void
}

interface RunningJob {
  readonly job: PendingJob
  readonly worker: Worker
  readonly timer: NodeJS.Timeout
}

/**
 * Runs jobs, one after another, on one worker thread that is started by the first job and kept.
 *
 * A worker that dies takes only the job it was doing with it; the next job gets a new worker. The thread keeps the
 * process alive only while it has a job.
 */
export class IntakeThread {
  readonly #timeoutMs: number
  readonly #entry: URL
  readonly #waiting: PendingJob[] = []
  #running: RunningJob | undefined
  #worker: Worker | undefined
  #closed = false

  /**
   * @param options.timeoutMs How long one job may run before its worker is ended, in milliseconds.
   * @param options.entry The worker's program; default `intake-worker` beside this file.
   */
  constructor(options: { timeoutMs: number; entry?: URL }) {
    this.#timeoutMs = options.timeoutMs
    this.#entry = options.entry ?? WORKER_ENTRY
  }

  /**
   * Queues one job and resolves with its result.
   *
   * @throws {PackageError} what the job failed with; `intake-failed` when the worker died, ran past the time limit, or
   *   the thread is closed.
   */
  run<K extends IntakeJobKind>(kind: K, input: IntakeJobs[K]['input']): Promise<IntakeJobs[K]['result']> {
    const request: IntakeRequest = { kind, input }
    return new Promise<IntakeJobs[K]['result']>((resolve, reject) => {
      if (this.#closed) {
        reject(new PackageError('intake-failed', { reason: 'closed' }))
        return
      }
      this.#waiting.push({ request, resolve, reject })
      this.#startNext()
    })
  }

  /** Ends the worker. Jobs that have not finished reject with `intake-failed`. */
  async close(): Promise<void> {
    this.#closed = true
    for (const job of this.#waiting.splice(0)) {
      job.reject(new PackageError('intake-failed', { reason: 'closed' }))
    }
    await Promise.all([this.#worker?.terminate(), this.#running?.worker.terminate()])
  }

  #startNext(): void {
    if (this.#running !== undefined) return
    const job = this.#waiting.shift()
    if (job === undefined) {
      this.#worker?.unref()
      return
    }
    let worker: Worker
    try {
      worker = this.#worker ??= this.#startWorker()
    } catch (error) {
      job.reject(new PackageError('intake-failed', { reason: 'worker not started' }, { cause: error }))
      this.#startNext()
      return
    }
    worker.ref()
    const timer = setTimeout(() => this.#abandon(worker), this.#timeoutMs)
    this.#running = { job, worker, timer }
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    worker.postMessage(job.request)
  }

  /** Ends a worker that is over its time; its job is rejected when it is gone, and the next gets a new one. */
  #abandon(worker: Worker): void {
    if (this.#worker === worker) this.#worker = undefined
    void worker.terminate()
  }

  #startWorker(): Worker {
    const worker = new Worker(this.#entry, {
      name: 'package-intake',
      // The worker's program needs none of the process's flags, and some, such as --input-type, forbid a file.
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: WORKER_HEAP_MIB },
    })
    let cause: unknown
    worker.on('message', (reply: IntakeReply) => {
      this.#settle(worker, (job) => {
        if (reply.ok) job.resolve(reply.result)
        else job.reject(new PackageError(reply.code, reply.details))
      })
    })
    worker.on('error', (error) => {
      cause = error
    })
    worker.on('exit', (exitCode) => {
      if (this.#worker === worker) this.#worker = undefined
      const reason = cause instanceof Error ? cause.name : `exit code ${exitCode}`
      this.#settle(worker, (job) => {
        job.reject(
          new PackageError('intake-failed', { reason: shorten(`worker ended: ${reason}`) }, { cause }),
        )
      })
    })
    return worker
  }

  /** Ends the job that `worker` is running, if any, and starts the next. */
  #settle(worker: Worker, end: (job: PendingJob) => void): void {
    const running = this.#running
    if (running === undefined || running.worker !== worker) return
    clearTimeout(running.timer)
    this.#running = undefined
    end(running.job)
    this.#startNext()
  }
}
