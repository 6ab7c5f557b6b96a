import { decodeBase64 } from '../../intake/base64.ts'
import { PARSED_BODY_BYTES } from '../../intake/large-body.ts'
import type { CodePackage } from '../../model/function.ts'
import type { PackageStore } from '../../store/packages/packages.ts'
import { FcError } from './errors.ts'
import { objectField, stringField } from './fields.ts'
import type { Call } from './operation.ts'

/**
 * Takes in the code of a create or update request: `code.zipFile`, base64.
 *
 * @returns Undefined when the request carries no code.
 * @throws {FcError} InvalidArgument: code that is elsewhere, or a checksum that is not the archive's.
 * @throws {import('../../intake/intake-error.ts').IntakeError} `not-base64`
 * @throws {import('../../store/packages/package-error.ts').PackageError}
 */
export async function takeCode(call: Call, packages: PackageStore): Promise<CodePackage | undefined> {
  const code = objectField(call.body, 'code')
  if (code === undefined) return undefined
  const zipFile = stringField(code, 'zipFile', { max: PARSED_BODY_BYTES })
  const zip = zipFile ? decodeBase64(zipFile) : await call.takeZipFile?.()
  if (zip === undefined) {
    if (stringField(code, 'ossBucketName') || stringField(code, 'ossObjectName'))
      throw new FcError(
        'InvalidArgument',
        'code in OSS is not reachable from this server: send it as zipFile',
      )
    throw new FcError('InvalidArgument', 'Either ossBucketName/ossObjectName or zipFile must be set')
  }
  const kept = await packages.put(zip)
  const expected = call.headers['x-fc-code-checksum']
  if (typeof expected === 'string' && expected !== '' && expected !== kept.crc64)
    throw new FcError(
      'InvalidArgument',
      `the code checksum '${expected.slice(0, 64)}' does not match the received code, whose checksum is '${kept.crc64}'`,
    )
  return kept
}
