import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const SCRIPT = fileURLToPath(new URL('../../scripts/start.js', import.meta.url))

describe('npm start', () => {
  let dir: string
  let child: ChildProcess | undefined
  let output = ''

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'start-'))
    // Present by name, so that a test installs nothing; the server looks for them elsewhere.
    for (const program of ['bwrap', 'python3', 'slirp4netns', 'ip']) await writeFile(join(dir, program), '')
  })
  afterEach(async () => {
    if (child !== undefined && child.exitCode === null) {
      child.kill('SIGKILL')
      await once(child, 'close')
    }
    await rm(dir, { recursive: true })
  })

  function start(flags: readonly string[], environment: Readonly<Record<string, string>> = {}): ChildProcess {
    output = ''
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('ANVOKE_'))
    child = spawn(process.execPath, [SCRIPT, ...flags], {
      env: {
        ...Object.fromEntries(inherited),
        PATH: `${dir}:${process.env['PATH'] ?? ''}`,
        TMPDIR: dir,
        ...environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (output += text))
    return child
  }

  /** Resolves with the exit code, once everything is written. */
  async function ended(started: ChildProcess): Promise<unknown> {
    const [code] = await once(started, 'close')
    return code
  }

  async function serving(started: ChildProcess): Promise<string> {
    for (;;) {
      const url = /Serving on (http:\S+) until/.exec(output)?.[1]
      if (url !== undefined) return url
      if (started.stdout === null || started.exitCode !== null) throw new Error(`it ended: ${output}`)
      await Promise.race([once(started.stdout, 'data'), once(started, 'exit')])
    }
  }

  test('hands its flags to the server, and shows the answer and the log of a sample', async () => {
    const started = start(['--listen', '127.0.0.1:0', '--account-id', '42'])
    const response = await fetch(`${await serving(started)}/healthz`)
    await response.arrayBuffer()
    expect(response.status).toBe(200)
    expect(output).toMatch(/Account +42\n/)
    expect(output).toContain('"greeting":"Hello, Anvoke!"')
    expect(output).toMatch(/\[info\] greeting Anvoke\n/)
    for (const sample of ['hello-nodejs', 'hello-functiongraph', 'hello-scf'])
      expect(output).toMatch(new RegExp(`${sample} \\(.*\\), deployed and called through`))
    for (const api of ['FC API', 'FunctionGraph API', 'SCF API 3\\.0', 'legacy API 2\\.0'])
      expect(output).toMatch(new RegExp(`^  .*Cloud's ${api} +\\{"greeting":"Hello, .*${api}!"`, 'm'))
    expect(output).toContain("new FC('42'")
    started.kill('SIGTERM')
    expect(await ended(started)).toBe(0)
  })

  test('serves on when samples do not work, and says which', async () => {
    const tooLittle = ['--memory-budget-mib', '64']
    const started = start(['--listen', '127.0.0.1:0', ...tooLittle])
    await serving(started)
    for (const sample of ['hello-nodejs', 'hello-python'])
      expect(output).toMatch(
        new RegExp(`${sample} \\(.*\\) could NOT be deployed and called: .*memoryBudgetMib`),
      )
    started.kill('SIGTERM')
    expect(await ended(started)).toBe(0)
  })

  test.each<[string[], Record<string, string>, number, RegExp]>([
    [[], { ANVOKE_LISTEN: '7570' }, 2, /listen cannot be used\n {2}why {2}'7570' is not HOST:PORT/],
    [['--foo'], {}, 2, /unknown option '--foo'/],
    [['127.0.0.1:7570'], {}, 1, /Put -- before them:\n {2}npm start -- --listen 127\.0\.0\.1:7570/],
    [['--listen', '0.0.0.0:0'], {}, 2, /anvoke dev does not listen on 0\.0\.0\.0/],
    [['--help'], {}, 0, /Usage: anvoke dev/],
  ])('ends at once for %j %j, with %d', async (flags, environment, code, explanation) => {
    expect(await ended(start(flags, environment))).toBe(code)
    expect(output).toMatch(explanation)
  })
})
