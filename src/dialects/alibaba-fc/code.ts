import { createHmac, type KeyObject } from 'node:crypto'
import { constantTimeEqual } from '../../auth/compare.ts'
import type { StreamedBody } from '../../http/exchange.ts'
import type { CodePackage } from '../../model/function.ts'
import type { PackageStore } from '../../store/packages/packages.ts'
import { decodeBase64 } from './base64.ts'
import { FcError } from './errors.ts'
import { objectField, stringField } from './fields.ts'
import { PARSED_BODY_BYTES } from './large-body.ts'
import type { Call } from './operation.ts'
import type { Slots } from './slots.ts'

/** Where unsigned download links of this dialect lead. */
export const CODE_LINK_PREFIX = '/anvoke/code/'

/** How long a link works, seconds. Source: the vendor's GetFunctionCode page, "valid for 10 minutes". */
const LINK_LIFETIME_S = 600

/** How many downloads may be under way at once. Each holds a file handle and about 128 KiB of buffers. */
export const MAX_DOWNLOADS = 64

/**
 * Takes in the code of a create or update request: `code.zipFile`, base64.
 *
 * @returns Undefined when the request carries no code.
 * @throws {FcError} InvalidArgument: code that is elsewhere or not base64, or a checksum that is not the archive's.
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

/** A link to a package's archive that needs no signature of the caller, until it expires. */
export function codeLink(origin: string, digest: string, linkKey: KeyObject, nowMs: number): string {
  const expires = String(Math.floor(nowMs / 1000) + LINK_LIFETIME_S)
  return `${origin}${CODE_LINK_PREFIX}${digest}?expires=${expires}&signature=${sign(linkKey, digest, expires)}`
}

/**
 * The archive a link leads to. One of `slots` is taken until its stream has ended or is destroyed.
 *
 * @throws {FcError} AccessDenied when the link was altered or has expired; ResourceExhausted when no slot is free.
 * @throws {import('../../store/packages/package-error.ts').PackageError} `not-found`
 */
export async function openCodeLink(
  rawPath: string,
  query: ReadonlyMap<string, string>,
  linkKey: KeyObject,
  packages: PackageStore,
  slots: Slots,
  nowMs: number,
): Promise<StreamedBody> {
  const digest = rawPath.slice(CODE_LINK_PREFIX.length)
  const expires = query.get('expires') ?? ''
  if (!constantTimeEqual(query.get('signature') ?? '', sign(linkKey, digest, expires)))
    throw new FcError('AccessDenied', 'the signature of this link does not match')
  if (Number(expires) * 1000 <= nowMs) throw new FcError('AccessDenied', 'this link has expired')
  const giveBack = slots.take()
  if (giveBack === undefined)
    throw new FcError('ResourceExhausted', `more than ${slots.limit} code downloads at once; retry later`)
  try {
    const archive = await packages.openArchive(digest)
    archive.stream.once('close', giveBack)
    return archive
  } catch (error) {
    giveBack()
    throw error
  }
}

function sign(linkKey: KeyObject, digest: string, expires: string): string {
  return createHmac('sha256', linkKey).update(`GET\n${CODE_LINK_PREFIX}${digest}\n${expires}`).digest('hex')
}
