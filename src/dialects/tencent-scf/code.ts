import { decodeBase64 } from '../../intake/base64.ts'
import { IntakeError } from '../../intake/intake-error.ts'
import type { CodePackage } from '../../model/function.ts'
import type { PackageStore } from '../../store/packages/packages.ts'
import { ScfError, type ScfCode } from './errors.ts'
import { field, objectField, textField } from './fields.ts'
import type { Call, JsonObject } from './operation.ts'

/** Longest base64 text taken from a parsed body, characters: what is longer is cut out before and taken in pieces. */
const MAX_PARSED_ZIP_CHARS = 64 * 1024 * 1024

/** Code that is somewhere else, by the member that says where; none of it can be fetched from here. */
const ELSEWHERE: readonly (readonly [member: string, code: ScfCode, where: string])[] = [
  ['CosBucketName', 'UnsupportedOperation.Cos', 'code in object storage (COS)'],
  ['CosObjectName', 'UnsupportedOperation.Cos', 'code in object storage (COS)'],
  ['TempCosObjectName', 'UnsupportedOperation.Cos', 'code in object storage (COS)'],
  ['GitUrl', 'InvalidParameterValue.CodeSource', 'code in a Git repository'],
  ['DemoId', 'ResourceNotFound.Demo', 'demo code'],
  ['ImageConfig', 'UnsupportedOperation', 'a container image'],
]

/**
 * Makes sure, before anything is taken in, that a request's code is a zip archive it carries.
 *
 * @param source The object with the members of `Code`.
 * @returns Whether there is one.
 * @throws {ScfError} for code that is elsewhere, or no text.
 */
export function carriesZip(call: Call, source: JsonObject): boolean {
  const zip = textField(source, 'ZipFile', {
    max: MAX_PARSED_ZIP_CHARS,
    code: 'InvalidParameterValue.ZipFile',
  })
  if (zip !== undefined && (zip !== '' || call.takeZipFile !== undefined)) return true
  for (const [member, code, where] of ELSEWHERE) {
    const value = field(source, member)
    if (value === undefined || value === '') continue
    throw new ScfError(
      code,
      `${where} is not reachable from this server: send a zip archive as ${zipNameOf(call)}`,
    )
  }
  if (zip === '') throw new ScfError('InvalidParameterValue.ZipFile', `${zipNameOf(call)} is empty`)
  return false
}

/**
 * Takes in the zip archive of a request for which {@link carriesZip} is true.
 *
 * @throws {ScfError} `InvalidParameterValue.ZipFileBase64BinasciiError`
 * @throws {import('../../store/packages/package-error.ts').PackageError}
 */
export async function takeCode(call: Call, source: JsonObject, packages: PackageStore): Promise<CodePackage> {
  const text = textField(source, 'ZipFile', { max: MAX_PARSED_ZIP_CHARS }) ?? ''
  const zip = text === '' ? await call.takeZipFile?.() : decoded(call, text)
  if (zip === undefined) throw new ScfError('MissingParameter.Code', 'the request has no code')
  return packages.put(zip)
}

/** `Code`, or the flat members that UpdateFunctionCode also takes. @throws {ScfError} */
export function codeSourceOf(params: JsonObject): JsonObject {
  return objectField(params, 'Code', { code: 'InvalidParameterValue.Code' }) ?? params
}

/** What the API of a call names the parameter with the archive. */
function zipNameOf(call: Call): 'code' | 'ZipFile' {
  return call.api === '2.0' ? 'code' : 'ZipFile'
}

/** In the legacy API the text may begin with `@`, which keeps it out of the signature. */
function decoded(call: Call, text: string): Buffer {
  try {
    return decodeBase64(call.api === '2.0' && text.startsWith('@') ? text.slice(1) : text)
  } catch (error) {
    if (!(error instanceof IntakeError)) throw error
    throw new ScfError(
      'InvalidParameterValue.ZipFileBase64BinasciiError',
      `${zipNameOf(call)} is not the base64 of a zip archive`,
    )
  }
}
