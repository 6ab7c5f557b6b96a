import { createHash } from 'node:crypto'
import { decodeBase64 } from '../../intake/base64.ts'
import { IntakeError } from '../../intake/intake-error.ts'
import { PARSED_BODY_BYTES } from '../../intake/large-body.ts'
import { inSlices } from '../../intake/slices.ts'
import { storedZip } from '../../intake/stored-zip.ts'
import type { CodePackage } from '../../model/function.ts'
import type { PackageStore } from '../../store/packages/packages.ts'
import { CODE_TYPES, type CodeFacts } from './code-facts.ts'
import { FssError, type FssCode } from './errors.ts'
import { enumField, objectField, required, stringField } from './fields.ts'
import type { Call, JsonObject } from './operation.ts'
import { missingSource, sampleSource } from './sample-source.ts'

/** Longest package, and longest plain source, bytes. Source: the vendor's limits page. */
export const MAX_PACKAGE_BYTES = 50 * 1024 * 1024
const MAX_SOURCE_BYTES = 10 * 1024

const MAX_NAME_CHARS = 255
const MAX_URL_CHARS = 2048

/** A zip begins with its first file, or with its end when it has none. */
const ZIP_MAGIC: readonly Buffer[] = [Buffer.from('PK\u0003\u0004'), Buffer.from('PK\u0005\u0006')]

/** Names that a plain source is kept under; any other is what the source would be called in a console. */
const SOURCE_NAME = /\.(?:c?js|mjs|ts|py|php|txt|json|ya?ml|sh|go|rb)$/i

const FILE_SUFFIX: readonly (readonly [RegExp, string])[] = [
  [/^python/i, '.py'],
  [/^node/i, '.js'],
  [/^php/i, '.php'],
]

/** Code that was taken in. */
export interface TakenCode {
  readonly package: CodePackage
  readonly facts: CodeFacts
}

/** What of a function the place and the content of plain source depend on. */
export interface CodeOwner {
  readonly runtime: string
  readonly handler: string
}

/**
 * Takes in the code of a request to make a function or to change its code.
 *
 * Plain source becomes a package of one file: that of `code_filename` if it is a source's name, else the handler's. A zip is
 * taken as one whatever its type, except that `zip` and `jar` must be one. An empty inline `file` stands for sample code.
 *
 * @returns Undefined when the request carries no code and needs none: it names a place elsewhere, or is a change.
 * @throws {FssError} `FSS.1006`, `FSS.1010`, `FSS.1011`, `FSS.1071`, `FSS.1072`
 * @throws {import('../../store/packages/package-error.ts').PackageError}
 */
export async function takeCode(
  call: Call,
  packages: PackageStore,
  owner: CodeOwner,
): Promise<TakenCode | undefined> {
  const type = required(enumField(call.body, 'code_type', CODE_TYPES, 'FSS.1006'), 'code_type', 'FSS.1006')
  const url = urlOf(call.body)
  const fileName = stringField(call.body, 'code_filename', { max: MAX_NAME_CHARS, code: 'FSS.1011' }) ?? ''
  if (type === 'Custom-Image-Swr')
    throw new FssError('FSS.1006', 'container images are not supported by this server')
  const code = objectField(call.body, 'func_code', 'FSS.1011')
  if (code === undefined) return undefined
  const file = stringField(code, 'file', { max: PARSED_BODY_BYTES, code: 'FSS.1011' })
  const chunks = file ? [decodedFile(file)] : await takeCut(call)
  if (chunks === undefined) {
    if (type !== 'inline' || file === undefined) return undefined
    return keepSource(packages, Buffer.from(sampleSource(owner)), fileName, url, owner)
  }
  const sizeBytes = sizeOf(chunks)
  if (sizeBytes > MAX_PACKAGE_BYTES)
    throw new FssError('FSS.1071', `the code package exceeds ${MAX_PACKAGE_BYTES} bytes`)
  if (type === 'inline' && !isZip(chunks)) {
    if (sizeBytes > MAX_SOURCE_BYTES)
      throw new FssError('FSS.1072', `inline code exceeds ${MAX_SOURCE_BYTES} bytes: send it as a zip`)
    return keepSource(packages, Buffer.concat(chunks), fileName, url, owner)
  }
  return {
    package: await packages.put(chunks),
    facts: { type, fileName: fileName || 'index.zip', url, digest: await sha512Hex(chunks), sizeBytes },
  }
}

/**
 * Code of a function whose code is elsewhere. Nothing is fetched: what stands in for it fails and says so.
 *
 * @throws {FssError} `FSS.1012`: there is no place either
 */
export async function codeElsewhere(
  call: Call,
  packages: PackageStore,
  owner: CodeOwner,
): Promise<TakenCode> {
  const url = urlOf(call.body)
  if (url === '') throw new FssError('FSS.1012', 'the function code is missing: func_code.file is required')
  const source = Buffer.from(missingSource(owner, url))
  const zip = storedZip([{ path: sourcePath(owner), content: source }])
  return {
    package: await packages.put(zip),
    facts: {
      type: enumField(call.body, 'code_type', CODE_TYPES) ?? 'zip',
      fileName: stringField(call.body, 'code_filename') || 'index.zip',
      url,
      digest: await sha512Hex([zip]),
      sizeBytes: zip.length,
    },
  }
}

/** Where a request says its code is; empty when it does not say. @throws {FssError} `FSS.1010`, `FSS.1011` */
export function urlOf(body: JsonObject): string {
  const limits = { max: MAX_URL_CHARS, code: 'FSS.1010' } as const
  const link = stringField(objectField(body, 'func_code', 'FSS.1011') ?? {}, 'link', limits)
  return stringField(body, 'code_url', limits) || link || ''
}

/**
 * The bytes of a base64 member: out of the body, or cut out of it when it was too large to be parsed.
 *
 * @throws {FssError} `code`
 */
export async function takeFile(
  call: Call,
  name: 'depend_file' | 'file_code',
  code: FssCode,
): Promise<readonly Buffer[] | undefined> {
  const text = stringField(call.body, name, { max: PARSED_BODY_BYTES, code })
  return text ? [decodedFile(text, code)] : takeCut(call, code)
}

/** SHA-512 of bytes in pieces, lower-case hex. Waits between slices. */
export async function sha512Hex(chunks: readonly Buffer[]): Promise<string> {
  const hash = createHash('sha512')
  for await (const slice of inSlices(chunks)) hash.update(slice)
  return hash.digest('hex')
}

/** Bytes of all pieces. */
export function sizeOf(chunks: readonly Buffer[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0)
}

async function keepSource(
  packages: PackageStore,
  source: Buffer,
  fileName: string,
  url: string,
  owner: CodeOwner,
): Promise<TakenCode> {
  const path = SOURCE_NAME.test(fileName) ? fileName : sourcePath(owner)
  return {
    package: await packages.put(storedZip([{ path, content: source }])),
    facts: {
      type: 'inline',
      fileName: path,
      url,
      digest: await sha512Hex([source]),
      sizeBytes: source.length,
      source: source.toString('base64'),
    },
  }
}

/** The file a handler is in: `src/index.handler` is in `src/index` with the suffix of its language. */
function sourcePath({ runtime, handler }: CodeOwner): string {
  const dot = handler.lastIndexOf('.')
  const file = dot > 0 ? handler.slice(0, dot) : handler
  return file + (FILE_SUFFIX.find(([pattern]) => pattern.test(runtime))?.[1] ?? '.txt')
}

function isZip(chunks: readonly Buffer[]): boolean {
  const start = Buffer.concat(chunks.slice(0, 4)).subarray(0, 4)
  return ZIP_MAGIC.some((magic) => magic.equals(start))
}

async function takeCut(call: Call, code: FssCode = 'FSS.1011'): Promise<readonly Buffer[] | undefined> {
  try {
    return await call.takeFile?.()
  } catch (error) {
    throw error instanceof IntakeError ? notBase64(code) : error
  }
}

function decodedFile(text: string, code: FssCode = 'FSS.1011'): Buffer {
  try {
    return decodeBase64(text)
  } catch (error) {
    throw error instanceof IntakeError ? notBase64(code) : error
  }
}

function notBase64(code: FssCode): FssError {
  return new FssError(code, 'the file is not base64')
}
