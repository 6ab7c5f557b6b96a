import fs from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import {
  closeDrivers,
  type Driver,
  nodeFunction,
  pythonFunction,
  type SetupOverrides,
  startBootstrap,
  TYPE,
} from '../helpers/bootstrap-driver.ts'

afterEach(closeDrivers)

/** The same functions in every language: what is tested is the protocol, not the contract. */
const LANGUAGES = {
  nodejs: {
    open: nodeFunction,
    echo: 'exports.handler = async (event) => event',
    spinUntilFile: `const fs = require('fs')
      exports.handler = (event, context, callback) => {
        const [path, marker] = event.toString().split(' ')
        console.log('spinning')
        while (path && !fs.existsSync(path));
        if (marker) fs.appendFileSync(marker, context.requestId + ' ')
        callback(null, 'done')
      }`,
    exit: 'exports.handler = () => process.exit(7)',
    spinForever: `exports.handler = () => { require('fs').writeSync(1, 'spinning'); for (;;); }`,
    descriptorsOfChild: `exports.handler = async () =>
      require('child_process').execFileSync('ls', ['-l', '/proc/self/fd'], { stdio: ['ignore', 'pipe', 'inherit'] })`,
    directWrite: `exports.handler = async () => {
      require('child_process').execFileSync('sh', ['-c', 'echo from a child'], { stdio: 'inherit' })
    }`,
    environment:
      'exports.handler = async () => ({ ...process.env, cwd: process.cwd(), hour: new Date(0).getHours() })',
    allocate: `exports.handler = async (event) => {
      const text = event.toString()
      if (text === 'collect') gc()
      else Buffer.alloc(Number(text), 1)
    }`,
    floodLog: `exports.handler = async (event) => {
      const line = 'x'.repeat(99) + '\\n'
      for (let i = 0; i < Number(event); i++) process.stdout.write(line)
      require('fs').writeSync(1, 'written')
    }`,
    longLine: `exports.handler = async () => { process.stdout.write('ü'.repeat(50_000)) }`,
    overlap: `let running = 0, most = 0
      exports.handler = async (event, context) => {
        most = Math.max(most, ++running)
        process.stdout.write('begin ' + context.requestId + '\\n')
        await new Promise((resolve) => setTimeout(resolve, 30))
        process.stdout.write('end ' + context.requestId + '\\n')
        running--
        return String(most)
      }`,
  },
  python: {
    open: pythonFunction,
    echo: 'def handler(event, context): return event',
    spinUntilFile: `
import os
def handler(event, context):
    path, _, marker = event.decode().partition(' ')
    print('spinning')
    while path and not os.path.exists(path):
        pass
    if marker:
        with open(marker, 'a') as file:
            file.write(context.request_id + ' ')
    return 'done'
`,
    exit: 'import sys\ndef handler(event, context): sys.exit(7)',
    spinForever:
      "import os\ndef handler(event, context):\n    os.write(1, b'spinning')\n    while True: pass",
    descriptorsOfChild: `
import os
def handler(event, context):
    # Unlike subprocess, this closes nothing by itself.
    os.system('ls -l /proc/self/fd > listing')
    with open('listing') as file:
        return file.read()
`,
    directWrite: "import os\ndef handler(event, context): os.system('echo from a child')",
    environment: `
import os, time
def handler(event, context):
    return dict(os.environ, cwd=os.getcwd(), hour=time.localtime(0).tm_hour)
`,
    allocate: `
def handler(event, context):
    if event != b'collect':
        b'x' * int(event)
`,
    floodLog: `
import os
def handler(event, context):
    for _ in range(int(event)):
        print('x' * 99)
    os.write(1, b'written')
`,
    longLine: "def handler(event, context): print('ü' * 50_000, end='')",
    overlap: `
import threading, time
lock = threading.Lock()
running = most = 0
def handler(event, context):
    global running, most
    with lock:
        running += 1
        most = max(most, running)
    print('begin ' + context.request_id)
    time.sleep(0.03)
    print('end ' + context.request_id)
    with lock:
        running -= 1
    return str(most)
`,
  },
} as const

type Open = (source: string, overrides?: Partial<SetupOverrides>) => Promise<Driver>

describe.each(['nodejs', 'python'] as const)('the %s bootstrap', (language) => {
  const sources = LANGUAGES[language]
  const open: Open = sources.open

  test('says HELLO, then READY with its figures, and nothing else unasked', async () => {
    const driver = await open(sources.echo)
    const [hello, ...rest] = driver.frames.filter((frame) => frame.type !== TYPE.log)
    expect([hello?.type, hello?.flag]).toEqual([TYPE.hello, 1])
    expect(hello?.meta['runtimeVersion']).toMatch(/^\d+\.\d+/)
    expect(rest).toHaveLength(1)
    expect(rest[0]?.type).toBe(TYPE.ready)
    expect(rest[0]?.meta).toEqual({
      loadMs: expect.any(Number),
      initMs: expect.any(Number),
      peakKib: expect.any(Number),
    })
  })

  test('answers 10 000 calls delivered ahead, strictly in order', async () => {
    const driver = await open(sources.echo)
    driver.issue(10_000)
    const last = Array.from({ length: 10_000 }, (_, index) => driver.deliver(String(index))).at(-1)!
    await driver.result(last)
    const results = driver.frames.filter((frame) => frame.type === TYPE.result)
    expect(results.map((frame) => Number(frame.payload.toString()))).toEqual(
      Array.from({ length: 10_000 }, (_, index) => index),
    )
    expect(results.map((frame) => frame.callId)).toEqual(results.map((_, index) => index + 1))
  })

  test.each([0, 1, 65_523, 65_524, 65_536, 1024 * 1024, 20 * 1024 * 1024])(
    'hands over and returns an event of %d bytes unchanged',
    async (size) => {
      const driver = await open(sources.echo)
      const event = Buffer.alloc(size, 'µ0123456789')
      const before = driver.deliver('before')
      const sized = driver.deliver(event)
      const after = driver.deliver('after')
      expect((await driver.result(after)).payload.toString()).toBe('after')
      expect((await driver.result(sized)).payload.equals(event)).toBe(true)
      expect((await driver.result(before)).payload.toString()).toBe('before')
    },
  )

  test('reads frames that arrive in pieces of any size', async () => {
    const driver = await open(sources.echo)
    const meta = Buffer.from('{"requestId":"r"}')
    const payload = Buffer.from('piecemeal')
    const frame = Buffer.concat([Buffer.alloc(12), meta, payload])
    frame.writeUInt32LE(frame.length - 4, 0)
    frame[4] = TYPE.invoke
    frame[5] = driver.epoch
    frame.writeUInt16LE(meta.length, 6)
    frame.writeUInt32LE(1, 8)
    for (const byte of frame) {
      driver.write(Buffer.from([byte]))
      await new Promise(setImmediate)
    }
    expect((await driver.result(1)).payload.toString()).toBe('piecemeal')
  })

  test.each([
    ['a length over the limit', [0xff, 0xff, 0xff, 0xff, 5, 1, 0, 0, 1, 0, 0, 0]],
    ['a meta part past the end', [8, 0, 0, 0, 5, 1, 1, 0, 1, 0, 0, 0]],
    ['an unknown type', [8, 0, 0, 0, 99, 1, 0, 0, 1, 0, 0, 0]],
  ])('exits with status 70 on %s', async (_name, bytes) => {
    const driver = await open(sources.echo)
    driver.write(Buffer.from(bytes))
    expect(await driver.exited).toEqual({ code: 70, signal: null })
  })

  test('exits when the server closes the channel, before and after the set-up', async () => {
    const fresh = await startBootstrap(language)
    await fresh.close()
    expect(await fresh.exited).toEqual({ code: 0, signal: null })
    const idle = await open(sources.echo)
    await idle.close()
    expect(await idle.exited).toEqual({ code: 0, signal: null })
  })

  test('never starts calls that were taken back while the code spins, but those of the next epoch', async () => {
    const driver = await open(sources.spinUntilFile)
    const release = `${await pathIn(driver)}/release`
    const marker = `${await pathIn(driver)}/started`
    const first = driver.deliver(`${release} ${marker}`)
    for (let index = 0; index < 5; index++) driver.deliver(` ${marker}`)
    await driver.frame((frame) => frame.type === TYPE.log && frame.callId === first)
    expect(driver.revoke()).toBe(4095)
    driver.issue(10)
    const next = driver.deliver(` ${marker}`)
    fs.writeFileSync(release, '')
    await driver.result(next)
    expect(fs.readFileSync(marker, 'utf8')).toBe(`r-${first} r-${next} `)
    const answered = driver.frames.filter((frame) => frame.type === TYPE.result).map((frame) => frame.callId)
    expect(answered).toEqual([first, next])
    expect(driver.revoke()).toBe(9)
  })

  test('drops calls without a ticket, and keeps a ticket of a later epoch for its call', async () => {
    const driver = await open(sources.echo)
    driver.revoke()
    driver.issue(2)
    driver.epoch--
    for (let index = 0; index < 3; index++) driver.deliver('taken back')
    driver.epoch++
    expect((await driver.call('a')).payload.toString()).toBe('a')
    expect((await driver.call('b')).payload.toString()).toBe('b')
    driver.deliver('no ticket left')
    driver.deliver('nor here')
    await driver.close()
    expect(driver.frames.filter((frame) => frame.type === TYPE.result)).toHaveLength(2)
  })

  test('really exits when the code exits', async () => {
    const driver = await open(sources.exit)
    driver.deliver()
    expect(await driver.exited).toEqual({ code: 7, signal: null })
    expect(driver.frames.filter((frame) => frame.type === TYPE.result)).toHaveLength(0)
  })

  test('leaves a spinning handler to the server, which can tell that one call has begun', async () => {
    const driver = await open(sources.spinForever)
    driver.deliver()
    driver.deliver()
    await driver.directOutput('spinning')
    driver.child.kill('SIGKILL')
    expect(await driver.exited).toEqual({ code: null, signal: 'SIGKILL' })
    expect(driver.revoke()).toBe(4095)
  })

  test('gives programs that the code starts neither the channel nor the tickets', async () => {
    const driver = await open(sources.descriptorsOfChild)
    const listing = (await driver.call()).payload.toString()
    expect(listing).toContain(' 1 -> ')
    expect(listing).not.toMatch(/book/)
    expect(listing).not.toMatch(/ [34] -> socket/)
  })

  test('leaves what a child process writes to the descriptors', async () => {
    const driver = await open(sources.directWrite)
    await driver.call()
    await driver.directOutput('from a child\n')
    expect(driver.logOf(1)).toBe('')
  })

  test('gives the code exactly its environment, its time zone and its directory', async () => {
    const environment = { PATH: '/usr/bin', TZ: 'Asia/Shanghai', MINE: 'ä' }
    const driver = await open(sources.environment, { environment })
    const seen = JSON.parse((await driver.call()).payload.toString())
    expect(seen).toEqual({ ...environment, cwd: await pathIn(driver), hour: 8 })
  })

  test('measures the peak of each call: it goes up with the memory used and comes down again', async () => {
    const driver = await open(sources.allocate)
    const peakMib = async (event: string): Promise<number> =>
      Number((await driver.call(event)).meta['peakKib']) / 1024
    const small = await peakMib('1')
    const large = await peakMib(String(256 * 1024 * 1024))
    await driver.call('collect')
    const after = await peakMib('1')
    expect(large).toBeGreaterThan(small + 200)
    expect(after).toBeLessThan(small + 100)
  })

  test('splits long log text and keeps it whole', async () => {
    const driver = await open(sources.longLine)
    await driver.call()
    expect(driver.logOf(1)).toBe('ü'.repeat(50_000))
    const logs = driver.frames.filter((frame) => frame.type === TYPE.log && frame.callId === 1)
    expect(logs.length).toBeGreaterThan(1)
    expect(Math.max(...logs.map((frame) => frame.payload.length))).toBeLessThanOrEqual(32 * 1024)
  })

  test('drops log text that nobody reads, says how much, and never waits for it', async () => {
    const driver = await open(sources.floodLog)
    driver.pause()
    const written = 100_000
    const call = driver.deliver(String(written))
    await driver.directOutput('written')
    const next = driver.deliver('1')
    driver.resume()
    await driver.result(next)
    const all = driver.frames
      .filter((frame) => frame.type === TYPE.log)
      .map((frame) => frame.payload.toString())
    const text = all.join('')
    const dropped = /\[(\d+) bytes of log dropped/.exec(text)
    expect(dropped).not.toBeNull()
    const kept = text.split('\n').filter((line) => line === 'x'.repeat(99)).length
    expect(kept * 100 + Number(dropped?.[1])).toBe((written + 1) * 100)
    expect((await driver.result(call)).flag).toBe(0)
  })

  test('runs up to the set number of calls together and tells their logs apart', async () => {
    const driver = await open(sources.overlap, { concurrency: 16 })
    const calls = Array.from({ length: 40 }, () => driver.deliver())
    const results = await Promise.all(calls.map((call) => driver.result(call)))
    expect(Math.max(...results.map((result) => Number(result.payload.toString())))).toBe(16)
    for (const call of calls) expect(driver.logOf(call)).toBe(`begin r-${call}\nend r-${call}\n`)
  })

  test('exits when the server closes the channel while calls wait for their own time', async () => {
    const driver = await open(sources.overlap, { concurrency: 4 })
    driver.deliver()
    await driver.frame((frame) => frame.type === TYPE.log && frame.callId === 1)
    await driver.close()
    expect(await driver.exited).toEqual({ code: 0, signal: null })
  })
})

async function pathIn(driver: Driver): Promise<string> {
  return fs.promises.readlink(`/proc/${driver.child.pid}/cwd`)
}
