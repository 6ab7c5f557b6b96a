import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { describeHostile } from './harness.ts'

const MIB = 1024 * 1024
const MOST_FILES = 2

describeHostile(
  'an attack by logs',
  (ground) => {
    test.each([
      ['lines through the console', `for (;;) console.log('x'.repeat(1000))`],
      ['one line without end', `for (;;) process.stdout.write('x'.repeat(100_000))`],
      ['empty lines', `for (;;) console.log('')`],
      [
        'lines past the runtime',
        `const block = Buffer.alloc(65536, 'xxxxxxx\\n'); for (;;) try { fs.writeSync(1, block) } catch {}`,
      ],
      [
        'one line past the runtime',
        `const block = Buffer.alloc(65536, 'x'); for (;;) try { fs.writeSync(2, block) } catch {}`,
      ],
      [
        'bytes that are no text',
        `const block = Buffer.alloc(65536, 0xff); for (;;) try { fs.writeSync(1, block) } catch {}`,
      ],
      [
        'lines of child processes',
        `for (let i = 0; i < 3; i++) spawn('/usr/bin/yes', ['x'.repeat(1000)], { stdio: ['ignore', 1, 2] }); await new Promise(() => {})`,
      ],
    ])('of %s ends with its call and takes the place that logs are given', async (_, node) => {
      const { answer, neighbourWasFirst } = await ground().attack({ node }, { timeoutS: 1 })
      expect(answer.text).toMatch(/timed out|memory/)
      expect(neighbourWasFirst).toBe(true)
      // One file's worth more than they are given: a file may pass its size by the lines of one write.
      expect(await bytesBelow(join(ground().server.dataDir, 'logs'))).toBeLessThan((MOST_FILES + 1) * MIB)
    })
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
