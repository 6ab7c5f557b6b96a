import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { Slots } from '../../intake/slots.ts'
import { storedZip, type StoredFile } from '../../intake/stored-zip.ts'
import { payloadOf } from '../../model/payload.ts'
import type { FunctionRecord } from '../../store/definition-store.ts'
import { CODE_TYPES, type CodeFacts } from './code-facts.ts'
import { MAX_PACKAGE_BYTES, sha512Hex, sizeOf, takeFile, type TakenCode } from './code-intake.ts'
import { FssError } from './errors.ts'
import { enumField, required, stringField } from './fields.ts'
import { functionBody } from './function-body.ts'
import { readSettings } from './function-settings.ts'
import { makeFunction, newNameOf, packageOf, requireFree } from './functions.ts'
import type { Answer, Call, JsonObject, Operation, Rooms } from './operation.ts'
import { requireAt, urnOf } from './target.ts'

/** Loaded when it is needed: the library is an eighth of all that a server would load at its start. */
const yaml = () => import('./yaml-description.ts')

/** What an exported archive holds beside each other. */
const CONFIG_SUFFIX = '.yaml'
const CODE_SUFFIX = '.zip'

/** Longest code that is exported with its settings without a slot, bytes, and how many of the longer ones are held at once. */
const SMALL_CODE_BYTES = 1024 * 1024
const slots = new Slots(4)

/** Settings that an export takes along. Those that name things outside of the function are the importer's to make. */
const EXPORTED = [
  ...['runtime', 'handler', 'timeout', 'memory_size', 'description', 'user_data', 'initializer_handler'],
  ...[
    'initializer_timeout',
    'pre_stop_handler',
    'pre_stop_timeout',
    'strategy_config',
    'ephemeral_storage',
    'type',
  ],
  ...['extend_config', 'enable_dynamic_memory', 'is_stateful_function', 'code_type', 'code_filename'],
]

/**
 * GET F/U/export: `code=true` gives the package as it was uploaded, `config=true` a zip with the function's settings in
 * `{name}.yaml`, and both, the default, that with the package as `{name}.zip`; `type=code` and `type=config` say the same.
 *
 * @throws {FssError} `FSS.1001`; `FSS.1071`: code too long to be exported with its settings; `FSS.0429`: too much of it at once
 */
export const exportFunction: Operation = async (call, rooms) => {
  const { value } = requireAt(rooms.catalogue, call.accountId, urnOf(call))
  const { config, code } = wishesOf(call.query)
  if (!config) return zipAnswer(await rooms.packages.openArchive(value.spec.code.digest))
  const settings = { path: value.name + CONFIG_SUFFIX, content: await describe(call, rooms, value) }
  return zipAnswer(code ? await withCode(settings, rooms, value) : payloadOf(storedZip([settings])))
}

/**
 * POST F/import: makes a function from what {@link exportFunction} gives with settings and code.
 *
 * @throws {FssError} `FSS.1013`: no zip; `FSS.1022`, `FSS.1025`, `FSS.1057`: its description; `FSS.1012`: no code in it; as
 *   when a function is made
 */
export const importFunction: Operation = async (call, rooms) => {
  const { body } = call
  const name = newNameOf(body)
  const namespace = packageOf(body)
  const fileName = required(
    stringField(body, 'file_name', { min: 1, max: 255, code: 'FSS.1013' }),
    'file_name',
    'FSS.1013',
  )
  enumField(body, 'file_type', ['zip'], 'FSS.1013')
  requireFree(rooms.catalogue, call.accountId, namespace, name)
  const archive = required(await takeFile(call, 'file_code', 'FSS.1011'), 'file_code', 'FSS.1012')
  if (sizeOf(archive) > MAX_PACKAGE_BYTES)
    throw new FssError('FSS.1023', `${fileName} exceeds ${MAX_PACKAGE_BYTES} bytes`)
  const { description, zip } = await openExport(rooms, archive)
  const settings = readSettings(description, undefined, call.projectId)
  rooms.requireRuntime(settings.run.runtime)
  const code = await keepCode(rooms, description, zip)
  const record = await rooms.catalogue.change((draft) =>
    makeFunction(draft, call, { namespace, name, body: {}, settings, code, nowMs: rooms.now() }),
  )
  return { status: 200, body: functionBody(rooms.catalogue, call, record) }
}

function wishesOf(query: Call['query']): { config: boolean; code: boolean } {
  const type = query.get('type') ?? ''
  if (type !== '' && type !== 'code' && type !== 'config')
    throw new FssError('FSS.1001', 'invalid parameter type (allowed: code | config)')
  const config = query.get('config') === 'true' || type === 'config'
  const code = query.get('code') === 'true' || type === 'code'
  return config || code ? { config, code } : { config: true, code: true }
}

function zipAnswer(body: NonNullable<Answer['raw']>['body']): Answer {
  return { status: 200, raw: { contentType: 'application/zip', body } }
}

async function describe(call: Call, rooms: Rooms, record: FunctionRecord): Promise<Buffer> {
  const { writeDescription } = await yaml()
  const body = functionBody(rooms.catalogue, call, record)
  const settings = Object.fromEntries(EXPORTED.map((name) => [name, body[name]]))
  return Buffer.from(writeDescription(record.name, settings))
}

/** A function's settings and its code in one archive, which is held until the client has taken it. */
async function withCode(
  settings: StoredFile,
  rooms: Rooms,
  record: FunctionRecord,
): Promise<NonNullable<Answer['raw']>['body']> {
  const giveBack = record.spec.code.sizeBytes > SMALL_CODE_BYTES ? slots.take() : () => undefined
  if (giveBack === undefined)
    throw new FssError('FSS.0429', `too many requests: more than ${slots.limit} large exports at once`)
  try {
    const code = { path: record.name + CODE_SUFFIX, content: await archiveOf(rooms, record) }
    const zip = storedZip([settings, code])
    const stream = Readable.from([zip], { objectMode: false })
    stream.once('close', giveBack)
    return { stream, sizeBytes: zip.length }
  } catch (error) {
    giveBack()
    throw error
  }
}

async function archiveOf(rooms: Rooms, record: FunctionRecord): Promise<Buffer> {
  const { digest, sizeBytes } = record.spec.code
  if (sizeBytes > MAX_PACKAGE_BYTES)
    throw new FssError(
      'FSS.1071',
      `the code is longer than ${MAX_PACKAGE_BYTES} bytes: export it with type=code`,
    )
  return buffer((await rooms.packages.openArchive(digest)).stream)
}

/** What is in an exported archive: a description, and the package of the code. The archive is unpacked as any package is. */
async function openExport(
  { packages }: Rooms,
  archive: readonly Buffer[],
): Promise<{ description: JsonObject; zip: Buffer }> {
  const { digest } = await packages.put(archive)
  const tree = packages.treePath(digest)
  const names = await readdir(tree)
  const configs = names.filter((name) => name.endsWith(CONFIG_SUFFIX))
  const [config] = configs
  if (config === undefined) throw new FssError('FSS.1025', 'the archive has no YAML file')
  if (configs.length > 1) throw new FssError('FSS.1022', 'the archive has more than one YAML file')
  const code = names.find((name) => name.endsWith(CODE_SUFFIX))
  if (code === undefined)
    throw new FssError('FSS.1012', 'the archive has no code: export the function with its code')
  const { MAX_DESCRIPTION_BYTES, readDescription } = await yaml()
  return {
    description: readDescription((await bytesOf(join(tree, config), MAX_DESCRIPTION_BYTES)).toString('utf8')),
    zip: await bytesOf(join(tree, code), MAX_PACKAGE_BYTES),
  }
}

/** The bytes of a file. A symbolic link of an archive may lead nowhere. */
async function bytesOf(path: string, limitBytes: number): Promise<Buffer> {
  const found = await stat(path).catch(() => undefined)
  if (found?.isFile() !== true || found.size > limitBytes)
    throw new FssError('FSS.1023', `a file in the archive exceeds ${limitBytes} bytes, or is none`)
  return readFile(path)
}

async function keepCode({ packages }: Rooms, description: JsonObject, zip: Buffer): Promise<TakenCode> {
  const facts: CodeFacts = {
    type: enumField(description, 'code_type', CODE_TYPES, 'FSS.1025') ?? 'zip',
    fileName: stringField(description, 'code_filename', { max: 255, code: 'FSS.1025' }) || 'index.zip',
    url: '',
    digest: await sha512Hex([zip]),
    sizeBytes: zip.length,
  }
  return { package: await packages.put(zip), facts }
}
