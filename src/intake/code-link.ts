import { createHmac, type KeyObject } from 'node:crypto'
import { constantTimeEqual } from '../auth/compare.ts'
import type { StreamedBody } from '../http/exchange.ts'
import type { PackageStore } from '../store/packages/packages.ts'
import { Slots } from './slots.ts'

/** Where unsigned download links lead. One dialect claims the path and answers there. */
export const CODE_LINK_PREFIX = '/anvoke/code/'

/** How long a link works, seconds. Source: Alibaba Cloud's GetFunctionCode page, "valid for 10 minutes". */
const LINK_LIFETIME_S = 600

/** How many downloads may be under way at once. Each holds a file handle and about 128 KiB of buffers. */
export const MAX_DOWNLOADS = 64

/** Why a link is not answered: altered, over, or too many downloads at once. */
export interface CodeLinkErrorDetails {
  'not-genuine': Record<string, never>
  expired: Record<string, never>
  'too-many': { limit: number }
}

export type CodeLinkErrorCode = keyof CodeLinkErrorDetails

export class CodeLinkError<C extends CodeLinkErrorCode = CodeLinkErrorCode> extends Error {
  override readonly name = 'CodeLinkError'
  readonly code: C
  readonly details: CodeLinkErrorDetails[C]

  constructor(code: C, details: CodeLinkErrorDetails[C]) {
    super(`${code} ${JSON.stringify(details)}`)
    this.code = code
    this.details = details
  }
}

export interface CodeLinksDeps {
  /** Secret that links are made with, at least 32 bytes. A new one voids the links given out. */
  readonly key: KeyObject
  readonly packages: Pick<PackageStore, 'openArchive'>
  /** Epoch milliseconds. */
  readonly now: () => number
}

/** Links by which a code package is downloaded without a signature, and what answers them. One for all dialects. */
export class CodeLinks {
  readonly #key: KeyObject
  readonly #packages: CodeLinksDeps['packages']
  readonly #now: () => number
  readonly #downloads = new Slots(MAX_DOWNLOADS)

  constructor({ key, packages, now }: CodeLinksDeps) {
    this.#key = key
    this.#packages = packages
    this.#now = now
  }

  /**
   * A link to a package's archive that needs no signature of the caller; works for ten minutes.
   *
   * @param origin `http://host:port` as the client reached us.
   */
  link(origin: string, digest: string): string {
    const expires = String(Math.floor(this.#now() / 1000) + LINK_LIFETIME_S)
    return `${origin}${CODE_LINK_PREFIX}${digest}?expires=${expires}&signature=${this.#sign(digest, expires)}`
  }

  /**
   * The archive a link leads to. It counts as a download until its stream has ended or is destroyed.
   *
   * @param rawPath As sent; begins with {@link CODE_LINK_PREFIX}.
   * @param rawQuery As sent, without the `?`.
   * @throws {CodeLinkError}
   * @throws {import('../store/packages/package-error.ts').PackageError} `not-found`
   */
  async open(rawPath: string, rawQuery: string): Promise<StreamedBody> {
    const digest = rawPath.slice(CODE_LINK_PREFIX.length)
    const query = new URLSearchParams(rawQuery)
    const expires = query.get('expires') ?? ''
    if (!constantTimeEqual(query.get('signature') ?? '', this.#sign(digest, expires)))
      throw new CodeLinkError('not-genuine', {})
    if (Number(expires) * 1000 <= this.#now()) throw new CodeLinkError('expired', {})
    const giveBack = this.#downloads.take()
    if (giveBack === undefined) throw new CodeLinkError('too-many', { limit: this.#downloads.limit })
    try {
      const archive = await this.#packages.openArchive(digest)
      archive.stream.once('close', giveBack)
      return archive
    } catch (error) {
      giveBack()
      throw error
    }
  }

  #sign(digest: string, expires: string): string {
    return createHmac('sha256', this.#key)
      .update(`GET\n${CODE_LINK_PREFIX}${digest}\n${expires}`)
      .digest('hex')
  }
}
