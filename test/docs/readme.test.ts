import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KEY_ID, KEY_SECRET, TestServer } from '../helpers/server.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const README = await readFile(join(ROOT, 'README.md'), 'utf8')
/** The programs of the README, by the name in their first line. */
const SAMPLES = [...README.matchAll(/^```js\n\/\/ (try[\w-]*\.js)\n([^]*?)\n```$/gm)].map(
  ([, name = '', code = '']) => [name, code] as const,
)

describe('the README', () => {
  let server: TestServer
  let dir: string

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'anvoke-readme-'))
    server = await TestServer.start()
  })
  afterAll(async () => {
    await server?.close()
    await rm(dir, { recursive: true, force: true })
  })

  test('has a program for each vendor, and for what is called in another way', () => {
    expect(SAMPLES.map(([name]) => name)).toEqual([
      'try.js',
      'try-huawei.js',
      'try-tencent.js',
      'try-tencent-legacy.js',
    ])
  })

  // As readers do: once, and then again.
  test.each(SAMPLES)('%s runs as it is, twice', async (name, code) => {
    const file = join(dir, name)
    expect(code).toContain('127.0.0.1:7400')
    const program = code
      .replaceAll('127.0.0.1:7400', server.endpoint)
      .replaceAll('anvoke-dev-secret', KEY_SECRET)
      .replaceAll('anvoke-dev', KEY_ID)
    await writeFile(file, program)
    for (const turn of ['first', 'second']) {
      const { stdout } = await promisify(execFile)(process.execPath, [file], {
        env: { ...process.env, NODE_PATH: join(ROOT, 'node_modules') },
        timeout: 20_000,
      })
      expect(`${turn}: ${stdout}`).toMatch(/hello"?: ?['"]world['"]/)
      expect(stdout).toContain('called with')
    }
  })
})
