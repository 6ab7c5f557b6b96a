import * as z from 'zod/mini'
import { listenAddress, oneOf, path, text, wholeNumber } from './fields.ts'
import type { Host } from './host.ts'

/**
 * The settings of the server. A setting `someName` is `someName` in anvoke.yaml, `ANVOKE_SOME_NAME` in the environment
 * and `--some-name` as a flag (`dataDir` is `--data`); secrets have no flag, which every user of the machine could read,
 * but an `ANVOKE_…_FILE`. `docs` shows what each is for, its unit, and its range in words.
 */
export const configSchema = z.strictObject({
  listen: listenAddress(),
  dataDir: path(),
  region: text(/^[a-z0-9][a-z0-9-]{0,31}$/, 'is not up to 32 lower-case letters, digits and hyphens'),
  accountId: text(/^\d{1,32}$/, 'is not up to 32 digits'),
  sandbox: oneOf(['auto', 'bwrap', 'process']),
  network: oneOf(['auto', 'none', 'egress', 'host']),
  maxInstances: wholeNumber(1, 10_000),
  maxInstancesPerFunction: wholeNumber(1, 10_000),
  maxConcurrentStarts: wholeNumber(1, 256),
  stemsPerClass: wholeNumber(0, 8),
  memoryBudgetMib: wholeNumber(64, 16_777_216),
  idleTimeoutSeconds: wholeNumber(1, 86_400),
  freezeAfterMs: wholeNumber(0, 3_600_000),
  queueTimeoutSeconds: wholeNumber(1, 3_600),
  maxConnections: wholeNumber(1, 1_000_000),
  maxCalls: wholeNumber(1, 1_000_000),
  maxCallsPerFunction: wholeNumber(1, 1_000_000),
  startTimeoutSeconds: wholeNumber(1, 300),
  payloadBudgetMib: wholeNumber(64, 1_048_576),
  maxAsyncRuns: wholeNumber(1, 10_000),
  maxAsyncRunsPerFunction: wholeNumber(1, 10_000),
  maxQueuedTasks: wholeNumber(1, 100_000_000),
  maxQueuedTasksPerFunction: wholeNumber(1, 100_000_000),
  maxQueuedMib: wholeNumber(1, 1_048_576),
  maxEndedTasks: wholeNumber(1, 100_000_000),
  maxKeptMib: wholeNumber(1, 1_048_576),
  taskRetentionDays: wholeNumber(1, 3_650),
  webhookAddresses: oneOf(['public', 'any']),
  shutdownGraceSeconds: wholeNumber(0, 3_600),
  logFileMib: wholeNumber(1, 1_024),
  logFilesPerFunction: wholeNumber(1, 1_000),
  logLevel: oneOf(['debug', 'info', 'warn', 'error']),
  logFormat: oneOf(['auto', 'text', 'json']),
  nodePath: z.optional(path()),
  pythonPath: z.optional(path()),
})

/** Settings that are secret: never printed, kept out of {@link Config}. */
export const credentialSchema = z.strictObject({
  accessKeyId: z.optional(
    text(/^[A-Za-z0-9._-]{1,128}$/, 'is not up to 128 letters, digits, dots, hyphens and underscores'),
  ),
  accessKeySecret: z.optional(text(/^[!-~]{8,256}$/, 'is not 8 to 256 printable ASCII characters')),
})

/** All settings with their values; frozen, members too. Holds no secret. */
export type Config = DeepReadonly<z.output<typeof configSchema>>
export type CredentialSettings = Readonly<z.output<typeof credentialSchema>>

export type CredentialKey = keyof CredentialSettings
export type SettingKey = keyof Config | CredentialKey

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T

/** What is said about a setting, and what it is when nobody sets it. */
export interface SettingDoc {
  /** One line: what it decides, and why one would change it. */
  readonly why: string
  /** What stands for the value in a flag's help: the unit where there is one. */
  readonly unit: string
  /** In the notation of the sources; undefined: unset. */
  readonly fallback: string | undefined | ((host: Host) => string)
  /** The flag without dashes, where it is not the key in kebab-case; null: no flag. */
  readonly flag?: string | null
}

const MAX_MEMORY_SHARE = 0.75

export const settingDocs: { readonly [Key in SettingKey]: SettingDoc } = {
  listen: {
    why: 'address of the one port that serves every API',
    unit: 'host:port',
    fallback: '127.0.0.1:7400',
  },
  dataDir: {
    why: 'directory of everything that is kept: definitions, code, queues, logs, generated keys',
    unit: 'directory',
    fallback: (host) => host.dataDir,
    flag: 'data',
  },
  region: { why: 'region name shown to functions and in resource names', unit: 'name', fallback: 'local' },
  accountId: { why: 'account that the root key belongs to', unit: 'digits', fallback: '1234567890123456' },
  accessKeyId: {
    why: 'id of the root key; unset: made once and kept in the data directory',
    unit: 'id',
    fallback: undefined,
    flag: null,
  },
  accessKeySecret: {
    why: 'secret of the root key; set with accessKeyId',
    unit: 'secret',
    fallback: undefined,
    flag: null,
  },
  sandbox: {
    why: 'how functions are kept apart; auto takes bwrap where it works and says so where it does not',
    unit: 'driver',
    fallback: 'auto',
  },
  network: {
    why: 'what functions reach: nothing, the world but not this host, or all the host does; auto takes egress where it works, else none',
    unit: 'policy',
    fallback: 'auto',
  },
  maxInstances: { why: 'instances of all functions alive at once', unit: 'count', fallback: '128' },
  maxInstancesPerFunction: { why: 'instances of one function alive at once', unit: 'count', fallback: '64' },
  maxConcurrentStarts: {
    why: 'instances starting at once: starts are CPU-bound, more than the cores only delay each other',
    unit: 'count',
    fallback: (host) => String(Math.min(256, Math.max(2, host.cores))),
  },
  stemsPerClass: {
    why: 'processes started ahead for each kind of function called lately (runtime, memory), at most 8 in all; 0: none',
    unit: 'count',
    fallback: '2',
  },
  memoryBudgetMib: {
    why: 'memory that all instances together may be promised; default three quarters of the host',
    unit: 'MiB',
    fallback: (host) => String(Math.max(64, Math.floor((host.memoryBytes * MAX_MEMORY_SHARE) / 2 ** 20))),
  },
  idleTimeoutSeconds: { why: 'how long an unused instance is kept warm', unit: 'seconds', fallback: '300' },
  freezeAfterMs: {
    why: 'an instance without calls gets no processor after this, until its next call; 0: it always does',
    unit: 'milliseconds',
    fallback: '250',
  },
  queueTimeoutSeconds: {
    why: 'longest wait of a call for an instance before it is refused',
    unit: 'seconds',
    fallback: '30',
  },
  maxConnections: {
    why: 'connections open at once; further ones are closed unanswered',
    unit: 'count',
    fallback: '10000',
  },
  maxCalls: { why: 'calls running and waiting at once, all functions', unit: 'count', fallback: '10000' },
  maxCallsPerFunction: {
    why: 'calls running and waiting at once, one function',
    unit: 'count',
    fallback: '1000',
  },
  startTimeoutSeconds: {
    why: 'longest start of an instance until its interpreter answers; loading the code has the time of a call, at least 10 s',
    unit: 'seconds',
    fallback: '10',
  },
  payloadBudgetMib: { why: 'payload bytes held in memory at once', unit: 'MiB', fallback: '512' },
  maxAsyncRuns: {
    why: 'asynchronous calls running at once, places that functions share; a function that runs none gets one beyond, three times as many in all',
    unit: 'count',
    fallback: '256',
  },
  maxAsyncRunsPerFunction: {
    why: 'asynchronous calls of one function running at once, where nothing else is set for it',
    unit: 'count',
    fallback: '32',
  },
  maxQueuedTasks: {
    why: 'asynchronous calls waiting and running at once; over it, only functions with hardly any are taken in, a tenth more in all',
    unit: 'count',
    fallback: '1000000',
  },
  maxQueuedTasksPerFunction: {
    why: 'asynchronous calls of one function waiting and running at once, where nothing else is set for it',
    unit: 'count',
    fallback: '1000000',
  },
  maxQueuedMib: {
    why: 'events of asynchronous calls waiting and running at once, on disk; over it as over maxQueuedTasks',
    unit: 'MiB',
    fallback: '1024',
  },
  maxEndedTasks: {
    why: 'ended asynchronous calls that are kept to be looked at; the oldest of the function that has the most go first',
    unit: 'count',
    fallback: '1000000',
  },
  maxKeptMib: {
    why: 'events, results and logs kept of ended asynchronous calls, on disk; those of the function that has the most go first',
    unit: 'MiB',
    fallback: '1024',
  },
  // Source: Alibaba Cloud Function Compute, task mode: records of asynchronous tasks are kept for 7 days.
  taskRetentionDays: {
    why: 'how long ended asynchronous calls and undeliverable messages are kept; so long the id of a call stays taken',
    unit: 'days',
    fallback: '7',
  },
  webhookAddresses: {
    why: 'where endings of asynchronous calls may be posted: to the public Internet, or to whatever this host reaches, itself too',
    unit: 'addresses',
    fallback: 'public',
  },
  shutdownGraceSeconds: {
    why: 'how long running calls may go on after SIGTERM',
    unit: 'seconds',
    fallback: '30',
  },
  logFileMib: { why: 'size at which a log file of a function is rotated', unit: 'MiB', fallback: '8' },
  logFilesPerFunction: { why: 'log files kept for each function', unit: 'count', fallback: '4' },
  logLevel: { why: 'least important event that is written to stderr', unit: 'level', fallback: 'info' },
  logFormat: {
    why: 'form of events on stderr; auto: text on a terminal, else JSON lines',
    unit: 'form',
    fallback: 'auto',
  },
  nodePath: {
    why: 'a further Node.js for functions, beside those found on the host: each runs on the version nearest to its runtime name',
    unit: 'file',
    fallback: undefined,
  },
  pythonPath: {
    why: 'a further Python for functions, beside those found on the host: each runs on the version nearest to its runtime name',
    unit: 'file',
    fallback: undefined,
  },
}

/** The name of a setting's flag, without dashes; undefined when it has none. */
export function flagOf(key: SettingKey): string | undefined {
  const { flag } = settingDocs[key]
  return flag === null
    ? undefined
    : (flag ?? key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`))
}

/** The name of a setting's environment variable. */
export function variableOf(key: SettingKey): string {
  return `ANVOKE_${key.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
}

export function isSettingKey(name: string): name is SettingKey {
  return Object.hasOwn(settingDocs, name)
}

export function isCredentialKey(key: SettingKey): key is CredentialKey {
  return Object.hasOwn(credentialSchema.shape, key)
}

export const settingKeys: readonly SettingKey[] = Object.keys(settingDocs).filter(isSettingKey)
