import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { Launched, type Ended } from './launched.ts'

describe('anvoke', () => {
  let cwd: string

  beforeEach(async () => {
    cwd = await mkdtemp(join(tmpdir(), 'cli-'))
  })
  afterEach(async () => {
    await rm(cwd, { recursive: true })
  })

  function run(args: readonly string[], environment?: Readonly<Record<string, string>>): Promise<Ended> {
    return new Launched(args, { cwd, ...(environment === undefined ? {} : { environment }) }).ended
  }

  test('prints its version, whichever way it is asked', async () => {
    const { version }: { version: string } = JSON.parse(
      await readFile(new URL('../../package.json', import.meta.url), 'utf8'),
    )
    for (const flag of ['--version', '-V']) {
      expect(await run([flag])).toEqual({ code: 0, signal: null, stdout: `${version}\n`, stderr: '' })
    }
  })

  test('shows help on stdout and ends well', async () => {
    const { code, stdout, stderr } = await run(['--help'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const command of ['serve', 'dev', 'doctor', 'config', 'queue', 'webhook-secret'])
      expect(stdout).toContain(command)
    const serve = await run(['serve', '--help'])
    expect(serve.code).toBe(0)
    for (const flag of ['--listen', '--data', '--config', '--max-instances'])
      expect(serve.stdout).toContain(flag)
  })

  test.each([
    [['help']],
    [['help', '--help']],
    [['help', 'serve']],
    [['help', 'doctor']],
    [['help', 'config', 'print']],
    [['config', 'help']],
    [['queue', 'help']],
    [['help', 'queue', 'redrive']],
  ])('shows help for %j on stdout', async (args) => {
    const { code, stdout, stderr } = await run(args)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const asked = args.filter((word) => !word.startsWith('-') && word !== 'help').join(' ')
    expect(stdout).toContain(`Usage: anvoke ${args[1] === '--help' ? 'help' : asked}`.trim())
  })

  test('tells of every setting what is allowed, its default and its variable, and of the credentials', async () => {
    const oneLine = async (command: string): Promise<string> =>
      (await run([command, '--help'])).stdout.replaceAll(/\s+/g, ' ')
    const serve = await oneLine('serve')
    expect(serve).toContain('(default 127.0.0.1:7400; ANVOKE_LISTEN)')
    expect(serve).toContain('(auto, bwrap, process; default auto; ANVOKE_SANDBOX)')
    expect(serve).toContain('(1 to 86400 seconds; default 300; ANVOKE_IDLE_TIMEOUT_SECONDS)')
    expect(serve).toContain(`(default on this machine ${cwd}/anvoke; ANVOKE_DATA_DIR)`)
    expect(serve).toContain('ANVOKE_ACCESS_KEY_SECRET_FILE')
    const dev = await oneLine('dev')
    expect(dev).toContain('(default: a new one, removed at exit; ANVOKE_DATA_DIR)')
    expect(dev).toContain('ANVOKE_ACCESS_KEY_ID')
    expect(dev).not.toContain('--max-calls')
  })

  test('has no flag for a secret, which every user of the machine could read', async () => {
    const { stdout } = await run(['serve', '--help'])
    expect(stdout).not.toMatch(/--access-key/)
  })

  test.each([
    [['serv'], 'Did you mean serve?'],
    [['serve', '--lisen', '127.0.0.1:1'], 'Did you mean --listen?'],
    [['serve', 'surplus'], 'too many arguments'],
    [['config'], 'error: a command is missing\nUsage: anvoke config'],
    [[], 'error: a command is missing\nUsage: anvoke'],
    [['help', 'nope'], "unknown command 'nope'"],
    [['help', 'serv'], 'Did you mean serve?'],
    [['help', 'config', 'prnt'], 'Did you mean print?'],
    [['queue'], 'error: a command is missing\nUsage: anvoke queue'],
    [['queue', 'puase', 'a/b'], 'Did you mean pause?'],
    [['queue', 'purge', 'a/b', '--yse'], 'Did you mean --yes?'],
  ])('ends with 2 and an explanation on stderr for %j', async (args, explanation) => {
    const { code, stdout, stderr } = await run(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(explanation)
  })

  test('ends with 2 for settings that cannot be used, and tells what, why and what to do', async () => {
    const { code, stdout, stderr } = await run(['serve', '--max-calls', 'many'], { ANVOKE_DATADIR: '/x' })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(
      /ANVOKE_DATADIR is not known\n {2}why .*\n {2}fix {2}did you mean ANVOKE_DATA_DIR\?/,
    )
    expect(stderr).toMatch(/maxCalls cannot be used\n {2}why {2}'many' .*\n {2}fix .*--max-calls/)
  })

  test('refuses to serve with the well-known key, and to check such settings as good', async () => {
    const environment = { ANVOKE_ACCESS_KEY_ID: 'anvoke-dev', ANVOKE_ACCESS_KEY_SECRET: 'anvoke-dev-secret' }
    for (const args of [
      ['serve', '--listen', '127.0.0.1:0'],
      ['config', 'check'],
    ]) {
      const { code, stderr } = await run(args, environment)
      expect(code).toBe(2)
      expect(stderr).toContain('well-known')
    }
  })

  test('refuses to run a server to try things out where others can reach it', async () => {
    const { code, stderr } = await run(['dev', '--listen', '0.0.0.0:0'])
    expect(code).toBe(2)
    expect(stderr).toContain('anvoke dev does not listen on 0.0.0.0:0')
  })

  describe('config print', () => {
    const environment = {
      ANVOKE_ACCESS_KEY_ID: 'my-key',
      ANVOKE_ACCESS_KEY_SECRET: 'do-not-show',
      ANVOKE_REGION: 'here',
    }

    test('shows each value with its origin, and no secret', async () => {
      await writeFile(join(cwd, 'anvoke.yaml'), 'maxCalls: 7\n')
      const { code, stdout, stderr } = await run(
        ['config', 'print', '--json', '--listen', '[::1]:0'],
        environment,
      )
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).not.toContain('do-not-show')
      const { file, settings }: { file: string; settings: unknown } = JSON.parse(stdout)
      expect(file).toMatch(/\/anvoke\.yaml$/)
      expect(settings).toMatchObject({
        listen: { value: '[::1]:0', origin: '--listen' },
        region: { value: 'here', origin: 'ANVOKE_REGION' },
        maxCalls: { value: 7, origin: file },
        maxInstances: { value: 128, origin: 'default' },
        accessKeyId: { value: 'my-key', origin: 'ANVOKE_ACCESS_KEY_ID' },
        accessKeySecret: { value: '[redacted]', origin: 'ANVOKE_ACCESS_KEY_SECRET' },
        nodePath: { value: null, origin: 'default' },
      })
    })

    test('is itself a file of settings', async () => {
      const first = await run(['config', 'print', '--listen', '[::1]:0'], environment)
      expect(first.stdout).not.toContain('do-not-show')
      await writeFile(join(cwd, 'printed.yaml'), first.stdout)
      expect(parse(first.stdout)).toMatchObject({ listen: '[::1]:0', region: 'here' })
      const second = await run(['config', 'print', '--json', '--config', 'printed.yaml'])
      expect(second.stderr).toBe('')
      expect(JSON.parse(second.stdout)).toMatchObject({ settings: { listen: { value: '[::1]:0' } } })
    })
  })

  describe('config check', () => {
    test('says that settings are good', async () => {
      expect(await run(['config', 'check'])).toMatchObject({ code: 0, stderr: '' })
      const { stdout } = await run(['config', 'check', '--json'])
      expect(JSON.parse(stdout)).toEqual({ ok: true, file: null })
    })

    test('ends with 2 for what they name and cannot be used, and creates nothing', async () => {
      await writeFile(join(cwd, 'file'), '')
      const data = await run(['config', 'check', '--data', 'file/data'])
      expect(data).toMatchObject({ code: 2, stdout: '' })
      expect(data.stderr).toMatch(
        /data directory .*\/file\/data cannot be used\n {2}why .*\/file is not a dir/,
      )
      const python = await run(['config', 'check', '--data', 'new/data', '--python-path', 'file', '--json'])
      expect(python).toMatchObject({ code: 2, stderr: '' })
      expect(JSON.parse(python.stdout)).toMatchObject({
        ok: false,
        complaints: [{ what: 'pythonPath cannot be used', why: `'${join(cwd, 'file')}' is not a program` }],
      })
      expect(await run(['config', 'check', '--data', 'new/data'])).toMatchObject({ code: 0, stderr: '' })
      expect(await readdir(cwd)).toEqual(['file'])
    })

    test('ends with 2 for those that are not', async () => {
      const plain = await run(['config', 'check', '--sandbox', 'none'])
      expect(plain).toMatchObject({ code: 2, stdout: '' })
      expect(plain.stderr).toContain('sandbox cannot be used')
      const json = await run(['config', 'check', '--sandbox', 'none', '--json'])
      expect(json).toMatchObject({ code: 2, stderr: '' })
      expect(JSON.parse(json.stdout)).toMatchObject({
        ok: false,
        complaints: [{ what: 'sandbox cannot be used' }],
      })
    })
  })
})
