import { expect, test } from 'vitest'
import { describeHostile, type Answer, type Source } from './harness.ts'

const MIB = 1024 * 1024
/** More than the functions here may have, and little enough for the host should nothing hold them. */
const TOO_MUCH_MIB = 700

/** The words of the vendor for a function that used more memory than it may. */
function expectOutOfMemory(answer: Answer): void {
  expect([answer.status, answer.errorType]).toEqual([200, 'UnhandledInvocationError'])
  expect(answer.text).toMatch(/memory.*maxMemoryUsage/)
}

/** One piece of memory after the other, MiB by MiB; the event says how many. */
const HOARDS: readonly (readonly [string, Source])[] = [
  ['objects', { node: `const kept = []; for (let i = 0; ; i++) kept.push({ text: 'x'.repeat(100) + i })` }],
  [
    'buffers',
    {
      node: `const kept = []; for (let i = 0; i < event; i++) kept.push(Buffer.alloc(${MIB}, 1)); await new Promise(() => {})`,
    },
  ],
  [
    'child processes',
    {
      node: `
        const hoard = 'const kept = []; for (let i = 0; i < 100; i++) kept.push(Buffer.alloc(${MIB}, 1)); setInterval(() => kept, 1000)'
        for (let i = 0; i < event / 100; i++) spawn(process.execPath, ['-e', hoard])
        await new Promise(() => {})`,
    },
  ],
  ['objects of Python', { python: `kept = []\nwhile True: kept.append('x' * 100 + str(len(kept)))` }],
  [
    'buffers of Python',
    {
      python: `kept = [bytearray(b'1' * ${MIB}) for _ in range(event)]\nsignal.pause()`,
    },
  ],
  [
    'child processes of Python',
    {
      python: `
for _ in range(event // 100):
    if os.fork() == 0:
        kept = [bytearray(b'1' * ${MIB}) for _ in range(100)]
        signal.pause()
signal.pause()`,
    },
  ],
]

/** Whether the banner says that the kernel limits memory. A test below fails where it says so in other words. */
function kernelCounts(banner: string): boolean {
  return banner.includes('The kernel limits for each instance, exactly: the sum of memory')
}

describeHostile('an attack on memory', (ground) => {
  test.each(HOARDS)('in %s ends the function alone', async (_, source) => {
    const answer = await ground().exhaust(source, { event: TOO_MUCH_MIB, memoryMib: 128, timeoutS: 15 })
    expectOutOfMemory(answer)
  })

  test('in files of /tmp and /dev/shm takes no more than they are given', async () => {
    const node = `
      const block = Buffer.alloc(4 * ${MIB}, 1)
      const filled = (path) => { for (let i = 0; i < event; i++) fs.appendFileSync(path, block) }
      return { shm: tried(() => filled('/dev/shm/all')), tmp: tried(() => filled('/tmp/all')) }`
    const answer = await ground().exhaust(
      { node },
      { event: TOO_MUCH_MIB / 4, memoryMib: 1024, timeoutS: 15 },
    )
    // Where its memory limit counts files too, that may come first.
    expect(answer.text).toMatch(/^\{"shm":"refused ENOSPC","tmp":"refused ENOSPC"\}$|memory/)
  })

  test('in pieces without a name ends the function, or there are none', async () => {
    const python = `
refused = {'file': kernel('memfd_create', ctypes.c_char_p(b'x'), 0), 'secret file': kernel('memfd_secret', 0), 'segment': kernel('shmget', 0, 4096, 0o1600),
    'semaphores': kernel('semget', 0, 1, 0o1600), 'messages': kernel('msgget', 0, 0o1600)}
if event == 'look': return refused
for _ in range(16):
    file = os.memfd_create('hoard')
    for _ in range(64): os.write(file, bytes(${MIB}))`
    // Only the kernel sees memory that no process has mapped: the banner says whether it limits it.
    const isCounted = kernelCounts(ground().server.output)
    const event = isCounted ? 'take' : 'look'
    const answer = await ground().exhaust({ python }, { event, memoryMib: 128, timeoutS: 15 })
    const refusals =
      '{"file": "refused ENOSYS", "secret file": "refused ENOSYS", "segment": "refused ENOSYS", '
    expect(answer.text).toMatch(isCounted ? /memory.*maxMemoryUsage/ : new RegExp(`^${refusals}`))
  })

  test('in pages that it lets go of ends the function, where the kernel limits it', async (context) => {
    // The watch counts what processes have mapped, which SECURITY.md says.
    context.skip(!kernelCounts(ground().server.output), 'the server has no cgroups')
    const python = `
import mmap
hoard = mmap.mmap(-1, event * ${MIB}, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
for at in range(0, event * ${MIB}, ${MIB}):
    hoard[at:at + ${MIB}] = b'1' * ${MIB}
    hoard.madvise(mmap.MADV_DONTNEED, at, ${MIB})`
    const answer = await ground().exhaust({ python }, { event: TOO_MUCH_MIB, memoryMib: 128, timeoutS: 15 })
    expectOutOfMemory(answer)
  })

  test('in many empty files ends with the call', async () => {
    const node = `for (let i = 0; ; i++) fs.closeSync(fs.openSync('/tmp/' + i, 'w'))`
    const { errorType } = await ground().exhaust({ node }, { timeoutS: 1 })
    expect(errorType).toBe('UnhandledInvocationError')
  })

  test.each([
    ['nested without end', `let value = {}; for (let i = 0; i < 1e6; i++) value = { value }; return value`],
    ['in a circle', `const value = {}; value.value = value; return value`],
    ['that makes itself while it is read', `return { toJSON() { return { next: this } } }`],
    ['of more bytes than an answer may have', `return 'x'.repeat(40 * ${MIB})`],
  ])('by a result %s is a failure of the function', async (_, body) => {
    const node = body.replace('return ', 'return answered(') + ')'
    const answer = await ground().exhaust({ node }, { timeoutS: 10, memoryMib: 512 })
    expect([answer.status, answer.errorType !== undefined]).toEqual([200, true])
    expect(answer.text.length).toBeLessThan(MIB)
  })

  test.each([
    ['message', `throw new Error('x'.repeat(40 * ${MIB}))`],
    ['stack', `const error = new Error('x'); error.stack = 'at x\\n'.repeat(2 * ${MIB}); throw error`],
    ['getter that never ends', `throw Object.defineProperty({}, 'message', { get() { for (;;); } })`],
    [
      'chain of causes',
      `let error = new Error('0'); for (let i = 0; i < 100_000; i++) error = new Error(String(i), { cause: error }); throw error`,
    ],
  ])('by an exception with an endless %s is a failure of the function', async (_, node) => {
    const answer = await ground().exhaust({ node }, { timeoutS: 2, memoryMib: 512 })
    expect(answer.status).toBe(200)
    expect(answer.errorType).toMatch(/InvocationError$/)
  })
})
