import { expect, test } from 'vitest'
import { KERNEL_LIMITS } from '../../src/sandbox/bwrap/arguments.ts'
import { describeHostile, LANGUAGES, pythonIn } from './harness.ts'

/** More than a function may have of anything that is counted here. */
const TOO_MANY = 70_000
/** Processes and threads of an instance; see src/sandbox/README.md. */
const MOST_TASKS = 1024

describeHostile('an attack on what is counted', (ground) => {
  test('by processes that multiply ends with its call', async () => {
    const python = `
while True:
    try: os.fork()
    except OSError: pass`
    const { errorType } = await ground().exhaust({ python }, { timeoutS: 2 })
    expect(errorType).toBe('UnhandledInvocationError')
  })

  test('by processes that wait has as many as it may', async () => {
    const python = `
count = 0
try:
    while count < ${TOO_MANY}:
        os.posix_spawn('/usr/bin/sleep', ['sleep', '1000'], {})
        count += 1
except OSError as error: return [errno.errorcode[error.errno], count]
return ['none', count]`
    const [code, count] = await ground().exhaustReport({ python }, { memoryMib: 4096 })
    expect(code).toBe('EAGAIN')
    expect(count).toBeLessThanOrEqual(MOST_TASKS)
  })

  test('by threads has as many as it may', async () => {
    const python = `
import threading
threading.stack_size(65536)
global wait
wait, count = threading.Event(), 0
try:
    while count < ${TOO_MANY}:
        threading.Thread(target=wait.wait, daemon=True).start()
        count += 1
except RuntimeError: return ['refused', count]
return ['none', count]`
    const [told, count] = await ground().exhaustReport({ python })
    expect(told).toBe('refused')
    expect(count).toBeLessThanOrEqual(MOST_TASKS)
  })

  test('by open files has as many as it may', async () => {
    const python = `
global kept
kept = []
try:
    while len(kept) < ${TOO_MANY}: kept.append(os.open('/dev/null', os.O_RDONLY))
except OSError as error: return [errno.errorcode[error.errno], len(kept)]
return ['none', len(kept)]`
    const [code, count] = await ground().exhaustReport({ python })
    expect(code).toBe('EMFILE')
    expect(count).toBeLessThanOrEqual(KERNEL_LIMITS.openFiles)
  })

  test.each(LANGUAGES)(
    'by terminals, in %s, has none of those that the host has for all',
    async (language) => {
      // The host has 4 096, and each of them may be held by somebody; these are enough to see.
      const python = `
import glob
global kept
kept = []
try:
    while len(kept) < 100: kept += os.openpty()
except OSError as error: return [errno.errorcode[error.errno], len(kept), [path for path in glob.glob('/dev/pts/*') + ['/dev/ptmx'] if os.path.exists(path)]]
return ['none', len(kept)]`
      expect(await ground().exhaustReport(pythonIn(language, python))).toEqual(['ENOENT', 0, []])
    },
  )

  test('by a file without end is refused before it fills anything', async () => {
    const python = `
def grow(path, flags=0):
    file = os.open(path, os.O_RDWR | os.O_CREAT | flags)
    os.ftruncate(file, 2**40)
def fill(path):
    with open(path, 'wb', 0) as file:
        for _ in range(1024): file.write(bytes(1024 * 1024))
return {'sparse': tried(lambda: grow('/tmp/sparse')), 'full': tried(lambda: fill('/dev/shm/full'))}`
    expect(await ground().exhaustReport({ python })).toEqual({
      sparse: 'refused EFBIG',
      full: 'refused ENOSPC',
    })
  })

  test('by processes that compute without end holds up nobody else', async () => {
    const node = `
      for (let i = 0; i < 8; i++) spawn(process.execPath, ['-e', 'for (;;);'])
      for (;;);`
    const { text } = await ground().exhaust({ node }, { timeoutS: 2, memoryMib: 1024 })
    expect(text).toContain('timed out')
  })
})
