import { FcError } from './errors.ts'
import { inSlices } from './slices.ts'

/** What a body may hold beside `code.zipFile`, bytes. A body no longer than that is parsed as it is. */
export const PARSED_BODY_BYTES = 1024 * 1024

/** Longest spelling of a member name that is looked at, bytes: `zipFile` with every character escaped, and quotes. */
const MAX_NAME_BYTES = 44

const QUOTE = 0x22
const COMMA = 0x2c
const OPEN_LIST = 0x5b
const BACKSLASH = 0x5c
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** A large body in two parts. */
export interface CutBody {
  /** The JSON text with an empty string in the place of `code.zipFile`: valid if, and only if, the whole was. */
  readonly rest: Buffer
  /** The inside of the string that was there, as it came, quotes excluded; parts of the chunks given. */
  readonly zipFile?: readonly Buffer[]
}

/**
 * Cuts the string `code.zipFile` (names in any case) out of a JSON text without parsing it: parsed whole, a hostile
 * body of 100 MB would take gigabytes and seconds. Waits between slices.
 *
 * Whether the rest is JSON is left to the parser, which sees the same tokens as this.
 *
 * @throws {FcError} EntityTooLarge when the rest is longer than {@link PARSED_BODY_BYTES}, InvalidArgument when `code`
 *   or its `zipFile` is there twice, or that string holds an escaped quote.
 */
export async function cutZipFile(chunks: Iterable<Buffer>): Promise<CutBody> {
  const scanner = new Scanner()
  for await (const slice of inSlices(chunks)) scanner.feed(slice)
  return scanner.end()
}

/** One pass over the tokens. It tells strings from structure, and of structure only as much as two levels take. */
class Scanner {
  readonly #rest = Buffer.allocUnsafeSlow(PARSED_BODY_BYTES)
  #restBytes = 0
  #zipFile: Buffer[] | undefined
  #cutting = false
  #inString = false
  #escaped = false
  /** Where in the rest the string under way began. */
  #stringAt = 0
  /** Per container around the cursor: whether it is an object. */
  readonly #objects: boolean[] = []
  /** Whether a string here would be a member's name, and the last name on levels one and two, lower-case. */
  #nameExpected = false
  #name = ''
  #inCode = false
  #codeSeen = false
  #zipFileSeen = false

  feed(slice: Buffer): void {
    for (let at = 0; at < slice.length; at += 1) {
      if (this.#cutting) {
        const end = slice.indexOf(QUOTE, at)
        this.#keep(slice.subarray(at, end < 0 ? slice.length : end))
        if (end < 0) return
        this.#endCut()
        at = end
      } else this.#take(slice[at] ?? 0)
    }
  }

  end(): CutBody {
    // A string that never ends must stay one in the rest.
    if (this.#cutting) this.#restBytes -= 1
    const rest = this.#rest.subarray(0, this.#restBytes)
    return this.#zipFile === undefined ? { rest } : { rest, zipFile: this.#zipFile }
  }

  #take(byte: number): void {
    this.#write(byte)
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false
      else if (byte === BACKSLASH) this.#escaped = true
      else if (byte === QUOTE) this.#endString()
    } else if (byte === QUOTE) this.#startString()
    else if (byte === OPEN_OBJECT || byte === OPEN_LIST) this.#open(byte === OPEN_OBJECT)
    else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) this.#close()
    else if (byte === COMMA) this.#nameExpected = this.#objects.at(-1) === true
  }

  #open(isObject: boolean): void {
    if (this.#objects.length === 1) this.#inCode = isObject && this.#name === 'code'
    this.#objects.push(isObject)
    this.#nameExpected = isObject
    this.#name = ''
  }

  #close(): void {
    this.#objects.pop()
    if (this.#objects.length < 2) this.#inCode = false
    this.#nameExpected = false
    this.#name = ''
  }

  #startString(): void {
    if (this.#inCode && this.#objects.length === 2 && !this.#nameExpected && this.#name === 'zipfile') {
      this.#write(QUOTE)
      this.#cutting = true
      this.#zipFile = []
      return
    }
    this.#inString = true
    this.#stringAt = this.#restBytes - 1
  }

  #endString(): void {
    this.#inString = false
    if (!this.#nameExpected) return
    this.#nameExpected = false
    this.#name = ''
    const depth = this.#objects.length
    if (depth > 2 || this.#restBytes - this.#stringAt > MAX_NAME_BYTES) return
    this.#name = nameOf(this.#rest.toString('utf8', this.#stringAt, this.#restBytes))
    if (depth === 1 && this.#objects[0] === true && this.#name === 'code') {
      if (this.#codeSeen) throw new FcError('InvalidArgument', 'Code is set more than once')
      this.#codeSeen = true
    }
    if (depth === 2 && this.#inCode && this.#name === 'zipfile') {
      if (this.#zipFileSeen) throw new FcError('InvalidArgument', 'ZipFile is set more than once')
      this.#zipFileSeen = true
    }
  }

  #keep(part: Buffer): void {
    if (part.length > 0) this.#zipFile?.push(part)
  }

  #endCut(): void {
    this.#cutting = false
    this.#name = ''
    // It would mean that the string goes on; no base64 does.
    if (this.#zipFile?.at(-1)?.at(-1) === BACKSLASH)
      throw new FcError('InvalidArgument', 'ZipFile is not base64')
  }

  #write(byte: number): void {
    if (this.#restBytes >= PARSED_BODY_BYTES)
      throw new FcError(
        'EntityTooLarge',
        `the request body exceeds the maximum allowed size beside zipFile (${PARSED_BODY_BYTES} bytes)`,
      )
    this.#rest[this.#restBytes] = byte
    this.#restBytes += 1
  }
}

/** The name a string token stands for, lower-case; empty when it is not JSON, which the parser will refuse. */
function nameOf(token: string): string {
  try {
    return String(JSON.parse(token)).toLowerCase()
  } catch {
    return ''
  }
}
