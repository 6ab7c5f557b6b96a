import { expect, test } from 'vitest'
import { describeHostile, type Answer, type Ground } from './harness.ts'

/** Frames of `src/runtimes/protocol.md`, made by hand. The runtime takes descriptors 3 and 4 from its forks: copies stay. */
const FRAMES = `
import fcntl, struct, time
channel, book = os.dup(3), os.dup(4)
RESULT, LOG = 6, 7
def frame(kind, flag, call_id, meta=b'', payload=b'', length=None):
    size = 8 + len(meta) + len(payload) if length is None else length
    return struct.pack('<IBBHI', size, kind, flag, len(meta), call_id) + meta + payload
def put(data):
    while data: data = data[os.write(channel, data):]
def last_forever():
    while True: time.sleep(60)
def for_ever(act, processes=1):
    def spin():
        while True: tried(act)
    for _ in range(processes):
        if os.fork() == 0: spin()
    last_forever()
`

/** Runs a function that attacks the server through descriptors 3 and 4. */
async function attacked(ground: Ground, python: string): Promise<Answer> {
  return await ground.attack({ python: FRAMES + python }, { timeoutS: 1 })
}

/** The same for one that goes on until it is ended, which is to hold up nobody. */
async function flooded(ground: Ground, python: string): Promise<Answer> {
  return await ground.exhaust({ python: FRAMES + python }, { timeoutS: 1 })
}

/** The function is told to have failed, and the server is not. */
function expectFunctionFailed(answer: Answer): void {
  expect([answer.status, answer.errorType]).toEqual([200, 'UnhandledInvocationError'])
}

describeHostile('an attack through the descriptors of the protocol', (ground) => {
  test.each([
    ['random bytes', 'put(os.urandom(100_000)); last_forever()'],
    ['a frame longer than any may be', 'put(frame(LOG, 1, 0, length=0xffffffff)); last_forever()'],
    ['meta beyond the end of its frame', "put(struct.pack('<IBBHI', 8, RESULT, 0, 500, 2)); last_forever()"],
    ['a frame of no known type', 'put(frame(200, 0, 0)); last_forever()'],
    ['the frames of a start once more', 'put(frame(1, 1, 0)); put(frame(3, 0, 0)); last_forever()'],
    [
      'large frames that nobody waits for',
      'for_ever(lambda: put(frame(RESULT, 0, 77, payload=bytes(60_000_000))))',
    ],
  ])('with %s ends the instance at once', async (_, python) => {
    const answer = await attacked(ground(), python)
    expectFunctionFailed(answer)
    expect(answer.text).not.toContain('timed out')
  })

  test.each([
    ['the end of its side', 'import socket; socket.socket(fileno=3).shutdown(2); last_forever()'],
    ['logs without end', "for_ever(lambda: put(frame(LOG, 1, 2, payload=b'x' * 30_000)))"],
    ['a frame that never ends', "put(frame(RESULT, 0, 2, length=60_000_000) + b'x' * 1000); last_forever()"],
  ])('with %s ends the instance with its call', async (_, python) => {
    expectFunctionFailed(await flooded(ground(), python))
  })

  test('with results of calls that nobody made ends the instance, and no call gets them', async () => {
    const forged = `
for call_id in (0, 1, 3, 4, 4_294_967_295): put(frame(RESULT, 0, call_id, b'{}', b'forged'))
return 'its own'`
    const answer = await attacked(ground(), forged)
    expectFunctionFailed(answer)
    expect(answer.text).not.toContain('forged')
  })

  test('with two answers to one call has the first one taken', async () => {
    const forged = `
put(frame(RESULT, 0, 2, b'{"durationMs":-5,"peakKib":1e300}', b'"first"') + frame(RESULT, 1, 2, b'{}', b'"second"'))
return 'third'`
    expect((await attacked(ground(), forged)).json).toBe('first')
  })

  test.each([
    ['line ends', `{"errorType":"a\\\\r\\\\nX-Planted: yes"}`],
    ['a type that is none', `{"errorType":{"toString":1}}`],
    ['a very long type', `{"errorType":"' + b'x' * 60_000 + b'"}`],
    ['brackets without end', `' + b'[' * 65_000 + b'`],
  ])('with a forged failure that holds %s gets no further than its own answer', async (_, meta) => {
    const answer = await attacked(ground(), `put(frame(RESULT, 1, 2, b'${meta}', b'{}')); last_forever()`)
    expectFunctionFailed(answer)
  })
})

describeHostile('an attack through the ticket book', (ground) => {
  test.each([
    ['empties', 'os.lseek(book, 0, os.SEEK_END)'],
    ['seeks far beyond', 'os.lseek(book, 2**63 - 1, os.SEEK_SET)'],
  ])('that %s it for ever is ended with its call', async (_, act) => {
    const answer = await flooded(ground(), `for_ever(lambda: [${act}], 2)`)
    expectFunctionFailed(answer)
    expect(answer.text).toContain('timed out')
  })

  test('that rewinds it for ever, so that its call seems not to have begun, does not run for ever', async () => {
    const { status, errorType } = await flooded(
      ground(),
      'for_ever(lambda: os.lseek(book, 0, os.SEEK_SET), 2)',
    )
    // Refused, unless the deadline came first.
    expect([
      [503, undefined],
      [200, 'UnhandledInvocationError'],
    ]).toContainEqual([status, errorType])
  })

  test('that leaves it far beyond its end is over when the function is removed', async () => {
    expect((await attacked(ground(), 'os.lseek(book, 2**63 - 1, os.SEEK_SET)')).text).toBe('null')
  })

  test('that puts a longer one in its place is refused', async () => {
    const forge = `
def rewrite():
    os.fchmod(book, 0o600)
    own = os.open('/proc/self/fd/%d' % book, os.O_RDWR)
    os.pwrite(own, bytes([1]) * 1_000_000, 0)
    for at in range(0, 2**40, 2**34): os.pwrite(own, b'x', at)
return tried(rewrite)`
    expect((await attacked(ground(), forge)).json).toMatch(/^refused E/)
  })
})
