import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/config/config-error.ts'
import { DEV_KEY, isDevKey, keepCredentials } from '../../src/config/credentials.ts'

describe('keepCredentials', () => {
  let root: string
  let dataDir: string
  let file: string

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'credentials-'))
    dataDir = join(root, 'data')
    file = join(dataDir, 'credentials.json')
  })
  afterEach(async () => {
    await rm(root, { recursive: true })
  })

  test('makes a key of the usual form once, and finds it again', () => {
    const first = keepCredentials(dataDir, {})
    expect(first.credentials.accessKeyId).toMatch(/^LTAI[A-Za-z0-9]{20}$/)
    expect(first.credentials.accessKeySecret).toMatch(/^[\w-]{32}$/)
    expect(first.credentials.signingKey).toHaveLength(32)
    expect(first.keptIn).toBe(file)
    expect(keepCredentials(dataDir, {})).toEqual(first)
  })

  test('makes different keys for different servers', () => {
    const one = keepCredentials(join(root, 'one'), {}).credentials
    const other = keepCredentials(join(root, 'other'), {}).credentials
    expect(one.accessKeyId).not.toBe(other.accessKeyId)
    expect(one.accessKeySecret).not.toBe(other.accessKeySecret)
    expect(one.signingKey.equals(other.signingKey)).toBe(false)
  })

  test('keeps the file and the directory to their owner', async () => {
    keepCredentials(dataDir, {})
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect((await stat(dataDir)).mode & 0o777).toBe(0o700)
    expect(await readdir(dataDir)).toEqual(['credentials.json'])
  })

  test('uses a key that is given without writing it, and keeps the signing key all the same', async () => {
    const given = { accessKeyId: 'mine', accessKeySecret: 'my-own-secret' }
    const first = keepCredentials(dataDir, given)
    expect(first).toEqual({
      credentials: { ...given, signingKey: first.credentials.signingKey },
      keptIn: undefined,
    })
    expect(await readFile(file, 'utf8')).not.toContain('my-own-secret')
    expect(keepCredentials(dataDir, given)).toEqual(first)
    const later = keepCredentials(dataDir, {})
    expect(later.credentials.accessKeyId).toMatch(/^LTAI/)
    expect(later.credentials.signingKey).toEqual(first.credentials.signingKey)
  })

  test('refuses a file that others can read', async () => {
    keepCredentials(dataDir, {})
    await chmod(file, 0o640)
    expect(() => keepCredentials(dataDir, {})).toThrow(/open to other users/)
  })

  test.each(['', '{', '{}', '{"signingKey":"short"}', '{"signingKey":1,"accessKeyId":""}'])(
    'refuses the file %j rather than replace it',
    async (content) => {
      await mkdir(dataDir)
      await writeFile(file, content, { mode: 0o600 })
      expect(() => keepCredentials(dataDir, {})).toThrow(ConfigError)
      expect(await readFile(file, 'utf8')).toBe(content)
    },
  )

  test('does not follow a link in the place of the file', async () => {
    keepCredentials(join(root, 'victim'), {})
    await mkdir(dataDir)
    await symlink(join(root, 'victim', 'credentials.json'), file)
    expect(() => keepCredentials(dataDir, {})).toThrow(ConfigError)
  })

  test('says which directory cannot be used', async () => {
    await writeFile(dataDir, 'not a directory')
    expect(() => keepCredentials(dataDir, {})).toThrow(`the data directory ${dataDir} cannot be used`)
  })
})

describe('isDevKey', () => {
  test('knows the well-known key by either half', () => {
    expect(isDevKey(DEV_KEY)).toBe(true)
    expect(isDevKey({ accessKeyId: 'other', accessKeySecret: DEV_KEY.accessKeySecret })).toBe(true)
    expect(isDevKey({ accessKeyId: DEV_KEY.accessKeyId, accessKeySecret: 'another-one' })).toBe(true)
    expect(isDevKey({})).toBe(false)
  })
})
