import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { answerOf, openRequest } from '../../helpers/fc-request.ts'
import { Suite } from './clients.ts'

let suite: Suite

beforeAll(async () => {
  suite = await Suite.start('crowd')
})

afterAll(() => suite?.server.close())

/** Counts how many calls its process runs at once. */
const COUNTING = `let running = 0, peak = 0
  const counted = async (work) => {
    running += 1
    peak = Math.max(peak, running)
    try { return await work() } finally { running -= 1 }
  }
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms))`

describe('a function with an instance concurrency', () => {
  test('runs its calls in one process at the same time', async () => {
    // Every call waits for the others: they only end when all five are inside together.
    await suite.deploy(
      'together',
      `let release, inside = 0
      const all = new Promise((resolve) => { release = resolve })
      exports.handler = async (event) => {
        if (String(event) === 'warm') return 'warm'
        inside += 1
        if (inside === 5) release()
        await all
        return String(process.pid)
      }`,
      { instanceConcurrency: 5, timeout: 10 },
    )
    await suite.invoke('together', { event: 'warm' })
    const answers = await Promise.all(Array.from({ length: 5 }, () => suite.invoke('together')))
    expect(answers.map(({ errorType }) => errorType)).toEqual(Array(5).fill(undefined))
    expect(new Set(answers.map(({ instanceId }) => instanceId)).size).toBe(1)
  })

  test('never runs more of them in one process than it allows', async () => {
    await suite.deploy(
      'pairs',
      `${COUNTING}\nexports.handler = () => counted(async () => { await sleep(40); return String(peak) })`,
      { instanceConcurrency: 2 },
    )
    const answers = await Promise.all(Array.from({ length: 16 }, () => suite.invoke('pairs')))
    expect(Math.max(...answers.map(({ text }) => Number(text)))).toBe(2)
  })

  test('runs Python calls at the same time, too', async () => {
    await suite.deployPython(
      'py-together',
      `import threading
barrier = threading.Barrier(3)
def handler(event, context):
    if event == b'warm':
        return 'warm'
    barrier.wait(8)
    context.logger.info('met')
    return 'met'`,
      { instanceConcurrency: 3, timeout: 10 },
    )
    await suite.invoke('py-together', { event: 'warm' })
    const answers = await Promise.all(Array.from({ length: 3 }, () => suite.invoke('py-together')))
    expect(answers.map(({ text }) => text)).toEqual(['met', 'met', 'met'])
  })

  test('returns no log tail, for its calls share a log', async () => {
    await suite.deploy('untailed', `exports.handler = async () => 1`, { instanceConcurrency: 2 })
    const answer = await suite.invoke('untailed', { tail: true })
    expect(answer.headers['x-fc-log-result']).toBeUndefined()
  })

  test('fails no more calls than were running when one exits', async () => {
    await suite.deploy(
      'risky',
      `exports.handler = async (event) => {
        if (String(event) === 'die') process.exit(1)
        return 'alive'
      }`,
      { instanceConcurrency: 4 },
    )
    await suite.invoke('risky', { event: 'live' })
    const died = await suite.invoke('risky', { event: 'die' })
    expect(died.errorType).toBe('UnhandledInvocationError')
    const after = await Promise.all(Array.from({ length: 8 }, () => suite.invoke('risky', { event: 'live' })))
    expect(after.every(({ text }) => text === 'alive')).toBe(true)
  })
})

describe('a function without one', () => {
  test('never runs two calls in one process at the same time', async () => {
    await suite.deploy(
      'alone',
      `${COUNTING}\nexports.handler = () => counted(async () => { await sleep(20); return String(peak) })`,
    )
    const answers = await Promise.all(Array.from({ length: 24 }, () => suite.invoke('alone')))
    expect(answers.map(({ text }) => text)).toEqual(Array(24).fill('1'))
  })

  test('is run by several instances when its calls are long', async () => {
    // The calls of each instance take a second: one instance alone would need eight.
    await suite.deploy(
      'long',
      `exports.handler = async () => { await new Promise((done) => setTimeout(done, 1000)); return 'done' }`,
      { memorySize: 128 },
    )
    const answers = await Promise.all(Array.from({ length: 8 }, () => suite.invoke('long')))
    expect(answers.every(({ text }) => text === 'done')).toBe(true)
    expect(new Set(answers.map(({ instanceId }) => instanceId)).size).toBeGreaterThan(2)
  })
})

describe('a caller who hangs up', () => {
  test('does not let another call into the busy instance, and the next call works', async () => {
    await suite.deploy(
      'left-alone',
      `${COUNTING}\nexports.handler = (event) => counted(async () => {
        if (String(event) === 'slow') { console.log('begun ' + '.'.repeat(40000)); await sleep(1500) }
        return String(peak)
      })`,
    )
    const path = '/2016-08-15/services/crowd/functions/left-alone/invocations'
    const hangsUp = openRequest(suite.server, { method: 'POST', path })
    const answered = answerOf(hangsUp)
    hangsUp.end('slow')
    await suite.untilLogged('left-alone', (log) => log.includes('begun'))
    hangsUp.destroy()
    await expect(answered).rejects.toThrow('socket hang up')
    const next = await suite.invoke('left-alone')
    expect([next.text, next.errorType]).toEqual(['1', undefined])
    const log = await suite.untilLogged('left-alone', (text) => text.includes('canceled by client'))
    expect(log).toMatch(
      /FC Invoke End RequestId: \S+, Error: Invocation canceled by client \(duration: \d+ms, /,
    )
    const after = await Promise.all(Array.from({ length: 4 }, () => suite.invoke('left-alone')))
    expect(after.map(({ text }) => text)).toEqual(['1', '1', '1', '1'])
  })
})
