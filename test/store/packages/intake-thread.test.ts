import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { PackageError } from '../../../src/store/packages/package-error.ts'
import { IntakeThread } from '../../../src/store/packages/intake-thread.ts'

let dir: string
let thread: IntakeThread
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'anvoke-thread-'))
})
afterEach(async () => {
  await thread.close()
  await rm(dir, { recursive: true })
})

/** A worker that follows the path it is given: `die` exits, `throw` throws, `hang` says nothing, else it answers. */
const OBEDIENT = new URL(
  `data:text/javascript,${encodeURIComponent(`
  import { parentPort } from 'node:worker_threads'
  let jobs = 0
  parentPort.on('message', ({ input: { path } }) => {
    jobs += 1
    if (path === 'die') process.exit(7)
    if (path === 'throw') throw new RangeError('secret')
    if (path !== 'hang') parentPort.postMessage({ ok: true, result: jobs })
  })
`)}`,
)

function refusalOf(outcome: PromiseSettledResult<unknown> | undefined) {
  assert.ok(outcome?.status === 'rejected' && outcome.reason instanceof PackageError)
  return { code: outcome.reason.code, details: outcome.reason.details }
}

describe('IntakeThread', () => {
  test('does jobs on the real worker, in order', async () => {
    thread = new IntakeThread({ timeoutMs: 30_000 })
    const path = join(dir, 'file')
    await writeFile(path, '123456789')
    const fingerprint = thread.run('fingerprint', { archivePath: path })
    const erased = thread.run('erase', { path })
    assert.deepEqual(await fingerprint, {
      digest: '15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225',
      crc64: '11051210869376104954',
    })
    assert.equal(await erased, null)
    await assert.rejects(thread.run('fingerprint', { archivePath: path }), {
      code: 'intake-failed',
      details: { reason: 'ENOENT' },
    })
  })

  test('keeps one worker for all jobs', async () => {
    thread = new IntakeThread({ timeoutMs: 30_000, entry: OBEDIENT })
    const answers = ['a', 'b', 'c'].map((path) => thread.run('erase', { path }))
    assert.deepEqual(await Promise.all(answers), [1, 2, 3])
  })

  test.each([
    ['die', 'worker ended: exit code 7'],
    ['throw', 'worker ended: RangeError'],
  ])('rejects the job whose worker ends (%s) and gives the next ones a new worker', async (how, reason) => {
    thread = new IntakeThread({ timeoutMs: 30_000, entry: OBEDIENT })
    const answers = ['first', how, 'next', 'last'].map((path) => thread.run('erase', { path }))
    const settled = await Promise.allSettled(answers)
    assert.deepEqual(refusalOf(settled[1]), { code: 'intake-failed', details: { reason } })
    assert.deepEqual(
      [settled[0], settled[2], settled[3]].map((one) => (one?.status === 'fulfilled' ? one.value : one)),
      [1, 1, 2],
    )
  })

  test('ends a worker that is over its time', async () => {
    thread = new IntakeThread({ timeoutMs: 200, entry: OBEDIENT })
    const hung = thread.run('erase', { path: 'hang' })
    const next = thread.run('erase', { path: 'next' })
    await assert.rejects(hung, { code: 'intake-failed' })
    assert.equal(await next, 1)
  })

  test('rejects what is unfinished, and whatever comes later, when closed', async () => {
    thread = new IntakeThread({ timeoutMs: 30_000, entry: OBEDIENT })
    const unfinished = ['hang', 'waiting'].map((path) =>
      assert.rejects(thread.run('erase', { path }), { code: 'intake-failed' }),
    )
    await thread.close()
    await Promise.all(unfinished)
    await assert.rejects(thread.run('erase', { path: 'later' }), { details: { reason: 'closed' } })
  })
})
