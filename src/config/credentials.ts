import { randomBytes, randomInt } from 'node:crypto'
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import * as z from 'zod/mini'
import { ConfigError } from './config-error.ts'
import type { CredentialSettings } from './schema.ts'

/** What the server must keep to itself. */
export interface Credentials {
  readonly accessKeyId: string
  readonly accessKeySecret: string
  /** 32 bytes: signs temporary credentials and links. Kept, so that they outlive a restart. */
  readonly signingKey: Buffer
}

/** The fixed key of `anvoke dev`: well known, so that examples work unchanged; `anvoke serve` refuses it. */
export const DEV_KEY = { accessKeyId: 'anvoke-dev', accessKeySecret: 'anvoke-dev-secret' } as const

const FILE_NAME = 'credentials.json'
const SIGNING_KEY_BYTES = 32
/** As long as the vendors' own, which some clients check. */
const ACCESS_KEY_ID_LENGTH = 24
const ACCESS_KEY_SECRET_BYTES = 24
const ALPHANUMERICS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

const keptSchema = z.strictObject({
  accessKeyId: z.optional(z.string().check(z.minLength(1))),
  accessKeySecret: z.optional(z.string().check(z.minLength(1))),
  /** Base64. */
  signingKey: z.string().check(z.length(Math.ceil(SIGNING_KEY_BYTES / 3) * 4)),
})

type Kept = z.output<typeof keptSchema>

export interface KeptCredentials {
  readonly credentials: Credentials
  /** The file that holds the root key; undefined when the settings or the fixed key give it. */
  readonly keptIn: string | undefined
}

/** Whether a key is, in any part, the one that everybody knows. */
export function isDevKey({ accessKeyId, accessKeySecret }: CredentialSettings): boolean {
  return accessKeyId === DEV_KEY.accessKeyId || accessKeySecret === DEV_KEY.accessKeySecret
}

/**
 * Finds the credentials of a server: the root key as given, or else as made once and kept in the data directory, which
 * is created with mode 0700; the signing key is always kept there. The file has mode 0600 and is replaced as a whole.
 *
 * @throws {ConfigError} the directory or the file cannot be used, or others may read the file.
 */
export function keepCredentials(dataDir: string, given: CredentialSettings): KeptCredentials {
  const file = join(dataDir, FILE_NAME)
  let kept: Kept
  try {
    makeDirectory(dataDir)
    kept = readKept(file) ?? create(file, { signingKey: randomBytes(SIGNING_KEY_BYTES).toString('base64') })
    if (given.accessKeyId === undefined && kept.accessKeyId === undefined) {
      kept = { ...kept, ...makeKey() }
      replace(file, kept)
    }
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw unusable(dataDir, error)
  }
  const accessKeyId = given.accessKeyId ?? kept.accessKeyId
  const accessKeySecret = given.accessKeySecret ?? kept.accessKeySecret
  if (accessKeyId === undefined || accessKeySecret === undefined)
    throw unreadable(file, 'it holds half a key')
  const signingKey = Buffer.from(kept.signingKey, 'base64')
  const keptIn = given.accessKeyId === undefined ? file : undefined
  return { credentials: { accessKeyId, accessKeySecret, signingKey }, keptIn }
}

/**
 * Says whether {@link keepCredentials} could work in a data directory, as far as can be seen without changing anything:
 * it, or where it is missing the nearest directory above, can be written to, and credentials kept there can be read.
 *
 * @throws {ConfigError} it could not.
 */
export function checkDataDir(dataDir: string): void {
  try {
    let nearest = dataDir
    while (!fs.existsSync(nearest) && nearest !== dirname(nearest)) nearest = dirname(nearest)
    if (!fs.statSync(nearest).isDirectory()) throw new Error(`${nearest} is not a directory`)
    fs.accessSync(nearest, fs.constants.W_OK | fs.constants.X_OK)
    readKept(join(dataDir, FILE_NAME))
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw unusable(dataDir, error)
  }
}

/** Node's own recursive form never ends where a file system denies that a directory exists, as /proc does. */
function makeDirectory(dir: string): void {
  if (fs.existsSync(dir)) return
  makeDirectory(dirname(dir))
  try {
    fs.mkdirSync(dir, { mode: 0o700 })
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error
  }
}

function makeKey(): { accessKeyId: string; accessKeySecret: string } {
  let accessKeyId = 'LTAI'
  while (accessKeyId.length < ACCESS_KEY_ID_LENGTH) {
    accessKeyId += ALPHANUMERICS.charAt(randomInt(ALPHANUMERICS.length))
  }
  return { accessKeyId, accessKeySecret: randomBytes(ACCESS_KEY_SECRET_BYTES).toString('base64url') }
}

function readKept(file: string): Kept | undefined {
  let fd: number
  try {
    fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
  try {
    if ((fs.fstatSync(fd).mode & 0o077) !== 0) {
      throw new ConfigError([
        {
          what: `${file} is open to other users`,
          why: 'it holds the root key, which may have been read',
          fix: `chmod 600 ${file}; delete it instead to have a new key made, with which the secrets of webhook receivers change`,
        },
      ])
    }
    return keptSchema.parse(JSON.parse(fs.readFileSync(fd, 'utf8')))
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw unreadable(file, 'it is not what this program wrote')
  } finally {
    fs.closeSync(fd)
  }
}

/** Writes the first content; when another server was quicker, its content counts. */
function create(file: string, kept: Kept): Kept {
  const draft = writeDraft(file, kept)
  try {
    fs.linkSync(draft, file)
    syncDirectory(file)
    return kept
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error
    return readKept(file) ?? kept
  } finally {
    fs.unlinkSync(draft)
  }
}

function replace(file: string, kept: Kept): void {
  fs.renameSync(writeDraft(file, kept), file)
  syncDirectory(file)
}

function writeDraft(file: string, kept: Kept): string {
  const draft = `${file}.${randomBytes(6).toString('hex')}`
  const fd = fs.openSync(draft, 'wx', 0o600)
  try {
    fs.writeFileSync(fd, `${JSON.stringify(kept, null, 2)}\n`)
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
  return draft
}

function syncDirectory(file: string): void {
  const fd = fs.openSync(dirname(file), 'r')
  try {
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}

function unreadable(file: string, why: string): ConfigError {
  return new ConfigError([
    {
      what: `${file} cannot be used`,
      why,
      fix: 'restore it, or delete it to have a new key made; the secrets of webhook receivers change with it',
    },
  ])
}

function unusable(dataDir: string, error: unknown): ConfigError {
  const why = error instanceof Error ? error.message : String(error)
  const fix = `${remedyOf(error)}choose another with --data or ANVOKE_DATA_DIR`
  return new ConfigError([{ what: `the data directory ${dataDir} cannot be used`, why, fix }])
}

/** What to do first, where the place itself could be used. */
function remedyOf(error: unknown): string {
  if (hasCode(error, 'EACCES') || hasCode(error, 'EPERM')) return 'make it writable for this user, or '
  return hasCode(error, 'ENOSPC') ? 'make room there, or ' : ''
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
