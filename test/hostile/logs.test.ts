import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { describeHostile, type Source } from './harness.ts'

const MIB = 1024 * 1024
const MOST_FILES = 2

const FLOODS: readonly (readonly [string, Source])[] = [
  ['lines through the console', { node: `for (;;) console.log('x'.repeat(1000))` }],
  ['one line without end', { node: `for (;;) process.stdout.write('x'.repeat(100_000))` }],
  ['empty lines', { node: `for (;;) console.log('')` }],
  [
    'lines past the runtime',
    {
      node: `const block = Buffer.alloc(65536, 'xxxxxxx\\n'); for (;;) try { fs.writeSync(1, block) } catch {}`,
    },
  ],
  [
    'one line past the runtime',
    { node: `const block = Buffer.alloc(65536, 'x'); for (;;) try { fs.writeSync(2, block) } catch {}` },
  ],
  [
    'bytes that are no text',
    { node: `const block = Buffer.alloc(65536, 0xff); for (;;) try { fs.writeSync(1, block) } catch {}` },
  ],
  [
    'lines of child processes',
    {
      node: `for (let i = 0; i < 3; i++) spawn('/usr/bin/yes', ['x'.repeat(1000)], { stdio: ['ignore', 1, 2] }); await new Promise(() => {})`,
    },
  ],
  ['lines printed in Python', { python: `while True: print('x' * 1000)` }],
  [
    'blocks past the runtime in Python',
    { python: `while True: tried(lambda: os.write(1, b'xxxxxxx\\n' * 8192))` },
  ],
]

describeHostile(
  'an attack by logs',
  (ground) => {
    test.each(FLOODS)(
      'of %s ends with its call and takes the place that logs are given',
      async (_, source) => {
        const answer = await ground().exhaust(source, { timeoutS: 1 })
        expect(answer.text).toMatch(/timed out|memory/)
        // One file's worth more than they are given: a file may pass its size by the lines of one write.
        expect(await bytesBelow(join(ground().server.dataDir, 'logs'))).toBeLessThan((MOST_FILES + 1) * MIB)
      },
    )
  },
  { ANVOKE_LOG_FILE_MIB: '1', ANVOKE_LOG_FILES_PER_FUNCTION: String(MOST_FILES) },
)

async function bytesBelow(dir: string): Promise<number> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => [])
  const sizes = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) =>
        stat(join(entry.parentPath, entry.name)).then(
          ({ size }) => size,
          () => 0,
        ),
      ),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}
