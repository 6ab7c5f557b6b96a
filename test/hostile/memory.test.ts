import { expect, test } from 'vitest'
import { describeHostile, type Answer } from './harness.ts'

const MIB = 1024 * 1024
/** More than the functions here may have, and little enough for the host should nothing hold them. */
const TOO_MUCH_MIB = 700

/** The words of the vendor for a function that used more memory than it may. */
function expectOutOfMemory(answer: Answer): void {
  expect([answer.status, answer.errorType]).toEqual([200, 'UnhandledInvocationError'])
  expect(answer.text).toMatch(/memory.*maxMemoryUsage/)
}

describeHostile('an attack on memory', (ground) => {
  test.each([
    ['objects', `const kept = []; for (let i = 0; ; i++) kept.push({ text: 'x'.repeat(100) + i })`],
    [
      'buffers',
      `const kept = []; for (let i = 0; i < event; i++) kept.push(Buffer.alloc(${MIB}, 1)); await new Promise(() => {})`,
    ],
    [
      'child processes',
      `const hoard = 'const kept = []; for (let i = 0; i < 100; i++) kept.push(Buffer.alloc(${MIB}, 1)); setInterval(() => kept, 1000)'
      for (let i = 0; i < event / 100; i++) spawn(process.execPath, ['-e', hoard])
      await new Promise(() => {})`,
    ],
  ])('in %s ends the function alone', async (_, node) => {
    const { answer } = await ground().attack({ node }, { event: TOO_MUCH_MIB, memoryMib: 128, timeoutS: 15 })
    expectOutOfMemory(answer)
  })

  test('in files of /tmp and /dev/shm takes no more than they are given', async () => {
    const node = `
      const block = Buffer.alloc(4 * ${MIB}, 1)
      const filled = (path) => { for (let i = 0; i < event; i++) fs.appendFileSync(path, block) }
      return { shm: tried(() => filled('/dev/shm/all')), tmp: tried(() => filled('/tmp/all')) }`
    const { answer } = await ground().attack(
      { node },
      { event: TOO_MUCH_MIB / 4, memoryMib: 1024, timeoutS: 15 },
    )
    // Where its memory limit counts files too, that may come first.
    expect(answer.text).toMatch(/^\{"shm":"refused ENOSPC","tmp":"refused ENOSPC"\}$|memory/)
  })

  test('in files without a name ends the function, where the kernel limits it', async (context) => {
    // Without cgroups nobody sees memory that no process has mapped: the banner says that they are not used.
    context.skip(!ground().server.output.includes('The kernel limits memory'), 'the server has no cgroups')
    const python = `
for _ in range(16):
    file = os.memfd_create('hoard')
    for _ in range(64): os.write(file, bytes(${MIB}))`
    const { answer } = await ground().attack({ python }, { memoryMib: 128, timeoutS: 15 })
    expectOutOfMemory(answer)
  })

  test('in many empty files ends with the call', async () => {
    const node = `for (let i = 0; ; i++) fs.closeSync(fs.openSync('/tmp/' + i, 'w'))`
    const { answer, neighbourWasFirst } = await ground().attack({ node }, { timeoutS: 1 })
    expect([answer.errorType, neighbourWasFirst]).toEqual(['UnhandledInvocationError', true])
  })

  test.each([
    ['nested without end', `let value = {}; for (let i = 0; i < 1e6; i++) value = { value }; return value`],
    ['in a circle', `const value = {}; value.value = value; return value`],
    ['that makes itself while it is read', `return { toJSON() { return { next: this } } }`],
    ['of more bytes than an answer may have', `return 'x'.repeat(40 * ${MIB})`],
  ])('by a result %s is a failure of the function', async (_, body) => {
    const node = body.replace('return ', 'return answered(') + ')'
    const { answer } = await ground().attack({ node }, { timeoutS: 10, memoryMib: 512 })
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
    const { answer } = await ground().attack({ node }, { timeoutS: 2, memoryMib: 512 })
    expect(answer.status).toBe(200)
    expect(answer.errorType).toMatch(/InvocationError$/)
  })
})
