import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/config/config-error.ts'
import type { Host } from '../../src/config/host.ts'
import { loadConfig, type ConfigSources, type LoadedConfig } from '../../src/config/load.ts'
import { settingDocs, settingKeys, type SettingKey } from '../../src/config/schema.ts'

const HOST: Host = { dataDir: '/var/data', cores: 8, memoryBytes: 16 * 2 ** 30 }

describe('loadConfig', () => {
  let cwd: string

  beforeEach(async () => {
    cwd = await mkdtemp(join(tmpdir(), 'config-'))
  })
  afterEach(async () => {
    await rm(cwd, { recursive: true })
  })

  function load(
    sources: Omit<Partial<ConfigSources>, 'flags'> & { flags?: Partial<Record<SettingKey, string>> } = {},
  ): Promise<LoadedConfig> {
    const { flags = {}, ...rest } = sources
    const given = settingKeys.flatMap((key): [SettingKey, string][] => {
      const text = flags[key]
      return text === undefined ? [] : [[key, text]]
    })
    return loadConfig({ environment: {}, cwd, host: HOST, ...rest, flags: new Map(given) })
  }

  /** What is wrong, as `what | why | fix` lines. */
  async function complaintsOf(loading: Promise<unknown>): Promise<string[]> {
    const error: unknown = await loading.then(
      () => undefined,
      (reason: unknown) => reason,
    )
    if (!(error instanceof ConfigError)) throw new Error('the settings were accepted', { cause: error })
    return error.complaints.map(({ what, why, fix }) => `${what} | ${why} | ${fix}`)
  }

  test('passes over what Kubernetes tells of a Service called anvoke, and over nothing like it', async () => {
    const ofAService = {
      ANVOKE_SERVICE_HOST: '10.0.0.7',
      ANVOKE_SERVICE_PORT: '7400',
      ANVOKE_SERVICE_PORT_HTTP_API: '7400',
      ANVOKE_PORT: 'tcp://10.0.0.7:7400',
      ANVOKE_PORT_7400_TCP: 'tcp://10.0.0.7:7400',
      ANVOKE_PORT_7400_TCP_PROTO: 'tcp',
      ANVOKE_PORT_7400_TCP_PORT: '7400',
      ANVOKE_PORT_7400_TCP_ADDR: '10.0.0.7',
      ANVOKE_PORT_53_UDP: 'udp://10.0.0.7:53',
    }
    expect((await load({ environment: ofAService })).config).toEqual((await load()).config)
    const others = {
      ANVOKE_PORT: '7400',
      ANVOKE_SERVICE: 'x',
      ANVOKE_SERVICE_PORTS: '1',
      ANVOKE_PORT_7400: '1',
      ANVOKE_PORT_7400_TCP_HOST: '1',
      ANVOKE_PORT_HTTP_TCP: '1',
    }
    const complaints = await complaintsOf(load({ environment: others }))
    expect(complaints.map((line) => line.split(' ')[3])).toEqual(Object.keys(others))
  })

  test('has a value for everything that needs one when nothing is set', async () => {
    const { config, credentials, file } = await load()
    expect(config).toEqual({
      listen: { host: '127.0.0.1', port: 7400 },
      dataDir: '/var/data',
      region: 'local',
      accountId: '1234567890123456',
      sandbox: 'auto',
      network: 'auto',
      maxInstances: 128,
      maxInstancesPerFunction: 64,
      maxConcurrentStarts: 8,
      stemsPerClass: 2,
      memoryBudgetMib: 12_288,
      idleTimeoutSeconds: 300,
      freezeAfterMs: 250,
      queueTimeoutSeconds: 30,
      maxConnections: 10_000,
      maxCalls: 10_000,
      maxCallsPerFunction: 1_000,
      startTimeoutSeconds: 10,
      payloadBudgetMib: 512,
      maxAsyncRuns: 256,
      maxAsyncRunsPerFunction: 32,
      maxQueuedTasks: 1_000_000,
      maxQueuedTasksPerFunction: 1_000_000,
      maxQueuedMib: 1_024,
      maxEndedTasks: 1_000_000,
      maxKeptMib: 1_024,
      taskRetentionDays: 7,
      webhookAddresses: 'public',
      shutdownGraceSeconds: 30,
      logFileMib: 8,
      logFilesPerFunction: 4,
      logLevel: 'info',
      logFormat: 'auto',
    })
    expect(credentials).toEqual({})
    expect(file).toBeUndefined()
  })

  test('has defaults that its own ranges accept on the smallest machine', async () => {
    const { config } = await load({ host: { dataDir: '/d', cores: 1, memoryBytes: 1 } })
    expect(config).toMatchObject({ maxConcurrentStarts: 2, memoryBudgetMib: 64 })
  })

  test('takes a flag before the environment before the file before the default, and says which', async () => {
    await writeFile(join(cwd, 'anvoke.yaml'), 'maxCalls: 3\nregion: of-file\nlogLevel: warn\n')
    const { config, origins } = await load({
      flags: { maxCalls: '1' },
      environment: { ANVOKE_MAX_CALLS: '2', ANVOKE_REGION: 'of-env' },
    })
    expect(config).toMatchObject({ maxCalls: 1, region: 'of-env', logLevel: 'warn', sandbox: 'auto' })
    expect([...origins]).toEqual(
      expect.arrayContaining([
        ['maxCalls', '--max-calls'],
        ['region', 'ANVOKE_REGION'],
        ['logLevel', join(cwd, 'anvoke.yaml')],
        ['sandbox', 'default'],
      ]),
    )
  })

  test('takes the data directory from --data', async () => {
    const { origins } = await load({ flags: { dataDir: 'x' } })
    expect(origins.get('dataDir')).toBe('--data')
  })

  test('is frozen, members too', async () => {
    const { config } = await load()
    expect(Object.isFrozen(config)).toBe(true)
    expect(Object.isFrozen(config.listen)).toBe(true)
  })

  test('reads numbers of the file as they are written', async () => {
    await writeFile(
      join(cwd, 'anvoke.yaml'),
      'accountId: 0012345678901234567890\nlisten: 0.0.0.0:80 # open\n',
    )
    const { config } = await load()
    expect(config.accountId).toBe('0012345678901234567890')
    expect(config.listen).toEqual({ host: '0.0.0.0', port: 80 })
  })

  test('resolves paths from where they are written', async () => {
    await mkdir(join(cwd, 'etc'))
    await writeFile(join(cwd, 'etc', 'server.yaml'), 'dataDir: data\nnodePath: ./node\n')
    const { config } = await load({ file: 'etc/server.yaml', environment: { ANVOKE_PYTHON_PATH: 'python' } })
    expect(config).toMatchObject({
      dataDir: join(cwd, 'etc', 'data'),
      nodePath: join(cwd, 'etc', 'node'),
      pythonPath: join(cwd, 'python'),
    })
  })

  test('reads the file that ANVOKE_CONFIG names', async () => {
    await writeFile(join(cwd, 'other.yaml'), 'region: other')
    const { config } = await load({ environment: { ANVOKE_CONFIG: 'other.yaml' } })
    expect(config.region).toBe('other')
  })

  test('refuses names it does not know, with the one that was probably meant', async () => {
    await writeFile(join(cwd, 'anvoke.yaml'), 'max_instance: 3\nzzz: 1\n')
    const complaints = await complaintsOf(
      load({ environment: { ANVOKE_LISTENN: '127.0.0.1:1', PATH: '/bin' } }),
    )
    expect(complaints).toEqual([
      expect.stringMatching(/ANVOKE_LISTENN is not known.*did you mean ANVOKE_LISTEN\?/),
      expect.stringMatching(/'max_instance' in .*anvoke\.yaml is not known.*did you mean maxInstances\?/),
      expect.stringMatching(/'zzz' in .* is not known.*\| remove it$/),
    ])
  })

  test('tells of everything that is wrong at once, with where to change it', async () => {
    const complaints = await complaintsOf(
      load({ flags: { maxCalls: '0', listen: '127.0.0.1' }, environment: { ANVOKE_SANDBOX: 'docker' } }),
    )
    expect(complaints).toHaveLength(3)
    expect(complaints).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^listen cannot be used \| '127\.0\.0\.1' is not HOST:PORT.*--listen/),
        expect.stringMatching(/^maxCalls .*'0' is not a whole number from 1 to 1000000.*--max-calls/),
        expect.stringMatching(/^sandbox .*'docker' is none of auto, bwrap, process.*ANVOKE_SANDBOX/),
      ]),
    )
  })

  test.each([
    ['maxCalls', '1.5'],
    ['maxCalls', '-1'],
    ['maxCalls', '1e3'],
    ['maxCalls', ''],
    ['maxCalls', '1000001'],
    ['maxCalls', '99999999999999999999'],
    ['dataDir', ''],
    ['dataDir', 'a\0b'],
    ['region', '../up'],
    ['accountId', 'a/b'],
    ['listen', '127.0.0.1:65536'],
    ['listen', ':7400'],
    ['listen', '127.0.0.400:7400'],
    ['listen', '::1:7400'],
    ['listen', 'host name:7400'],
  ] as const)('refuses %s = %j', async (key, text) => {
    await expect(load({ flags: { [key]: text } })).rejects.toThrow(ConfigError)
  })

  test.each([
    ['127.0.0.1:0', { host: '127.0.0.1', port: 0 }],
    ['[::1]:7400', { host: '::1', port: 7400 }],
    ['functions.example.com:80', { host: 'functions.example.com', port: 80 }],
  ])('listens on %s', async (text, listen) => {
    const { config } = await load({ environment: { ANVOKE_LISTEN: text } })
    expect(config.listen).toEqual(listen)
  })

  test('reads the root key from the environment or from files, and never shows it in a complaint', async () => {
    await writeFile(join(cwd, 'secret'), 'from-a-file\n')
    const { credentials, config } = await load({
      environment: { ANVOKE_ACCESS_KEY_ID: 'key', ANVOKE_ACCESS_KEY_SECRET_FILE: 'secret' },
    })
    expect(credentials).toEqual({ accessKeyId: 'key', accessKeySecret: 'from-a-file' })
    expect(JSON.stringify(config)).not.toContain('from-a-file')
    const complaints = await complaintsOf(
      load({ environment: { ANVOKE_ACCESS_KEY_ID: 'key', ANVOKE_ACCESS_KEY_SECRET: 'pa ss word' } }),
    )
    expect(complaints.join()).toContain('accessKeySecret')
    expect(complaints.join()).not.toContain('pa ss')
  })

  test('refuses a secret given twice, half a key, and a secret file that is not there', async () => {
    await writeFile(join(cwd, 'secret'), 'from-a-file\n')
    const environment = {
      ANVOKE_ACCESS_KEY_SECRET: 'from-the-environment',
      ANVOKE_ACCESS_KEY_SECRET_FILE: 'secret',
    }
    expect(await complaintsOf(load({ environment }))).toEqual([
      expect.stringContaining('ANVOKE_ACCESS_KEY_SECRET and ANVOKE_ACCESS_KEY_SECRET_FILE are both set'),
      expect.stringContaining('only one of accessKeyId and accessKeySecret is set'),
    ])
    const missing = { ANVOKE_ACCESS_KEY_ID_FILE: 'nowhere', ANVOKE_ACCESS_KEY_SECRET: 'secret-secret' }
    expect((await complaintsOf(load({ environment: missing })))[0]).toContain('cannot be read')
  })

  test('counts an empty variable as unset', async () => {
    const { config } = await load({ environment: { ANVOKE_REGION: '', ANVOKE_CONFIG: '' } })
    expect(config.region).toBe('local')
  })

  test.each([
    ['listen: [', /is not YAML/],
    ['a', /holds no settings/],
    ['- a', /holds no settings/],
    ['region: a\nregion: b', /is not YAML/],
    ['listen:\n  host: 127.0.0.1\n  port: 1\n', /more than one value/],
    ['region: &a x\nsandbox: *a', /is not YAML/],
    ['__proto__: x', /is not known/],
  ])('refuses the file %j', async (content, expected) => {
    await writeFile(join(cwd, 'anvoke.yaml'), content)
    expect((await complaintsOf(load())).join()).toMatch(expected)
  })

  test('takes an empty file for no settings', async () => {
    await writeFile(join(cwd, 'anvoke.yaml'), '# nothing yet\n')
    expect((await load()).file).toBe(join(cwd, 'anvoke.yaml'))
  })

  test('refuses a file that was named and is not there', async () => {
    expect((await complaintsOf(load({ file: 'nowhere.yaml' })))[0]).toContain('cannot be read')
  })

  test('says of every setting what it is for', () => {
    for (const key of settingKeys) {
      expect(settingDocs[key].why.length).toBeGreaterThan(10)
      expect(settingDocs[key].unit).not.toBe('')
    }
  })
})
