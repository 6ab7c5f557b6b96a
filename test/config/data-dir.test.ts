import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { findDataDir } from '../../src/config/load.ts'
import type { SettingKey } from '../../src/config/schema.ts'

const HOST = { dataDir: '/var/data', cores: 8, memoryBytes: 2 ** 30 }
const NOT_YAML = 'dataDir: [\n'

let cwd: string

beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'data-dir-'))
})
afterEach(() => rm(cwd, { recursive: true }))

const find = (environment: NodeJS.ProcessEnv = {}, flag?: string): Promise<string> => {
  const flags = new Map<SettingKey, string>(flag === undefined ? [] : [['dataDir', flag]])
  return findDataDir({ flags, environment, cwd, host: HOST })
}

const write = (settings: string): Promise<void> => writeFile(join(cwd, 'anvoke.yaml'), settings)

test('the data directory comes from a flag, a variable, the file or the host, in this order', async () => {
  expect(await find()).toBe('/var/data')
  await write('dataDir: of-file\n')
  expect(await find()).toBe(join(cwd, 'of-file'))
  expect(await find({ ANVOKE_DATA_DIR: 'of-env' })).toBe(join(cwd, 'of-env'))
  expect(await find({ ANVOKE_DATA_DIR: 'of-env' }, '/of-flag')).toBe('/of-flag')
})

test('it is found whatever the values of other settings are', async () => {
  await write('maxCalls: none\nlisten: nowhere\n')
  expect(await find({ ANVOKE_LOG_LEVEL: 'loud' })).toBe('/var/data')
})

test('where something names it, what cannot be read and what is not known besides is passed over', async () => {
  await write('dataDir: /of-file\nunheardOf: 1\n')
  expect(await find({ ANVOKE_UNHEARD_OF: '1' })).toBe('/of-file')
  await write(NOT_YAML)
  expect(await find({ ANVOKE_DATA_DIR: '/of-env' })).toBe('/of-env')
  expect(await find({}, '/of-flag')).toBe('/of-flag')
})

test.each([
  ['the file cannot be read', NOT_YAML, 'is not YAML'],
  ['a name is not known', 'datadir: /x\n', "the setting 'datadir'"],
])('where nothing names it and %s, it says so and how to name it', async (_, settings, what) => {
  await write(settings)
  await expect(find()).rejects.toMatchObject({
    complaints: [
      { what: expect.stringContaining(what) },
      { fix: 'name it with --data, as the banner of the server does, or correct the settings' },
    ],
  })
})

test('one that is no path is refused', async () => {
  await expect(find({}, '')).rejects.toMatchObject({ complaints: [{ what: 'dataDir cannot be used' }] })
})
