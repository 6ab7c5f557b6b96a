import { isUtf8 } from 'node:buffer'
import type { Entry } from 'yauzl'
import { getFileNameLowLevel } from 'yauzl'
import type { PackageLimits } from './limits.ts'
import { PackageError, shorten } from './package-error.ts'

const UTF8_FLAG = 0x800
/** "Version made by" hosts whose names are UTF-8 in practice and whose attributes hold a Unix mode. */
const UNIX_HOST = 3
const MACOS_HOST = 19
/** Linux NAME_MAX. */
const SEGMENT_BYTES = 255

/** Whether the archiver ran where the upper half of the external attributes is a Unix mode. */
export function madeOnUnix(entry: Entry): boolean {
  const host = entry.versionMadeBy >>> 8
  return host === UNIX_HOST || host === MACOS_HOST
}

/**
 * The entry's name as text, exactly as the archive spells it.
 *
 * Archivers on macOS write UTF-8 without setting the flag for it; such names are read as UTF-8 when they are valid,
 * and as code page 437 otherwise, as the format says.
 *
 * @throws {PackageError} `unsafe-entry` with `name-encoding` when the name claims UTF-8 and is not.
 */
export function decodeEntryName(entry: Entry): string {
  const raw = entry.fileNameRaw
  const saysUtf8 = (entry.generalPurposeBitFlag & UTF8_FLAG) !== 0
  const validUtf8 = isUtf8(raw)
  if (saysUtf8 && !validUtf8) {
    throw new PackageError('unsafe-entry', {
      reason: 'name-encoding',
      entryName: shorten(raw.toString('latin1')),
    })
  }
  const flags =
    validUtf8 && madeOnUnix(entry) ? entry.generalPurposeBitFlag | UTF8_FLAG : entry.generalPurposeBitFlag
  return getFileNameLowLevel(flags, raw, entry.extraFields, true)
}

/**
 * Splits an entry's name into the segments of a path below the root. Empty and `.` segments are dropped, so the
 * result is empty for the root itself (`./`).
 *
 * @throws {PackageError} `unsafe-entry` for names that are empty, absolute (also `C:`), or hold `..`, a backslash or
 *   NUL; `path-too-long` past `limits.pathBytes`, `limits.pathDepth` or 255 bytes in one segment.
 */
export function splitEntryName(
  entryName: string,
  limits: Pick<PackageLimits, 'pathBytes' | 'pathDepth'>,
): string[] {
  const shown = shorten(entryName)
  if (entryName === '') throw new PackageError('unsafe-entry', { reason: 'empty-name', entryName: shown })
  if (entryName.includes('\0'))
    throw new PackageError('unsafe-entry', { reason: 'nul-byte', entryName: shown })
  if (entryName.includes('\\'))
    throw new PackageError('unsafe-entry', { reason: 'backslash', entryName: shown })
  if (entryName.startsWith('/') || /^[A-Za-z]:/.test(entryName)) {
    throw new PackageError('unsafe-entry', { reason: 'absolute-name', entryName: shown })
  }
  if (Buffer.byteLength(entryName) > limits.pathBytes) {
    throw new PackageError('path-too-long', { entryName: shown })
  }
  const segments = entryName.split('/').filter((segment) => segment !== '' && segment !== '.')
  if (segments.includes('..')) {
    throw new PackageError('unsafe-entry', { reason: 'parent-segment', entryName: shown })
  }
  if (
    segments.length > limits.pathDepth ||
    segments.some((segment) => Buffer.byteLength(segment) > SEGMENT_BYTES)
  ) {
    throw new PackageError('path-too-long', { entryName: shown })
  }
  return segments
}
