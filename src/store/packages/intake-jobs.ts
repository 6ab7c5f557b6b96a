import { createHash } from 'node:crypto'
import { closeSync, openSync, readFileSync, readSync, rmSync } from 'node:fs'
import { Crc64 } from './crc64.ts'
import type { UnpackedTree } from './intake.ts'
import { unpackZip } from './intake.ts'
import type { PackageLimits } from './limits.ts'
import { mergeTrees } from './merge-trees.ts'
import type { PackageErrorCode, PackageErrorDetails } from './package-error.ts'

const READ_BYTES = 1024 * 1024

/** Sha256 as 64 lower-case hex digits and CRC-64/XZ as an unsigned decimal, of a file's bytes. */
interface Fingerprint {
  digest: string
  crc64: string
}

/** What the worker thread can be asked to do: input and result of each kind of job. Everything is plain data. */
export interface IntakeJobs {
  fingerprint: { input: { archivePath: string }; result: Fingerprint }
  unpack: { input: { archivePath: string; treeDir: string; limits: PackageLimits }; result: UnpackedTree }
  /** See {@link mergeTrees}. */
  merge: { input: { sourceDirs: readonly string[]; treeDir: string }; result: null }
  /** Removes a folder and all in it; one that is not there is no error. */
  erase: { input: { path: string }; result: null }
}

export type IntakeJobKind = keyof IntakeJobs

/** One job on its way to the worker. */
export interface IntakeRequest<K extends IntakeJobKind = IntakeJobKind> {
  kind: K
  input: IntakeJobs[K]['input']
}

type IntakeResult<K extends IntakeJobKind> = IntakeJobs[K]['result']

/** The worker's answer; an error travels as its parts, because classes do not survive the way between threads. */
export type IntakeReply =
  | { ok: true; result: IntakeResult<IntakeJobKind> }
  | { ok: false; code: PackageErrorCode; details: PackageErrorDetails[PackageErrorCode] }

const PERFORM: {
  [K in IntakeJobKind]: (input: IntakeJobs[K]['input']) => IntakeResult<K> | Promise<IntakeResult<K>>
} = {
  fingerprint: ({ archivePath }) => fingerprintFile(archivePath),
  unpack: ({ archivePath, treeDir, limits }) => unpackZip(readFileSync(archivePath), treeDir, limits),
  merge: ({ sourceDirs, treeDir }) => {
    mergeTrees(sourceDirs, treeDir)
    return null
  },
  erase: ({ path }) => {
    rmSync(path, { recursive: true, force: true })
    return null
  },
}

/** Does one job on the calling thread. Rejects with what went wrong, not always a `PackageError`. */
export async function performIntakeJob<K extends IntakeJobKind>(
  request: IntakeRequest<K>,
): Promise<IntakeResult<K>> {
  return PERFORM[request.kind](request.input)
}

function fingerprintFile(path: string): Fingerprint {
  const sha256 = createHash('sha256')
  const crc64 = new Crc64()
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  const fd = openSync(path, 'r')
  try {
    for (let length = readSync(fd, buffer); length > 0; length = readSync(fd, buffer)) {
      const chunk = buffer.subarray(0, length)
      sha256.update(chunk)
      crc64.update(chunk)
    }
  } finally {
    closeSync(fd)
  }
  return { digest: sha256.digest('hex'), crc64: crc64.digest() }
}
