import { IntakeError } from './intake-error.ts'
import { inSlices } from './slices.ts'

/** What a body may hold beside the member that is cut out, bytes. A body no longer than that is parsed as it is. */
export const PARSED_BODY_BYTES = 1024 * 1024

/** Bytes of one character of a name when it is written as an escape (`\u007a`). */
const ESCAPED_CHAR_BYTES = 6

const QUOTE = 0x22
const COMMA = 0x2c
const OPEN_LIST = 0x5b
const BACKSLASH = 0x5c
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** A large body in two parts. */
export interface CutBody {
  /** The JSON text with an empty string in the place of the member: valid if, and only if, the whole was. */
  readonly rest: Buffer
  /** The inside of the string that was there, as it came, quotes excluded; parts of the chunks given. */
  readonly cut?: Buffer[]
}

/**
 * Cuts the string of one member out of a JSON text without parsing it: parsed whole, a hostile body of 100 MB would take
 * gigabytes and seconds. Waits between slices.
 *
 * Whether the rest is JSON is left to the parser, which sees the same tokens as this.
 *
 * @param paths Where the string may be, from the body's own object on: `file` is a member of the body, `code.zipFile` one
 *   of the body's member `code`. No path leads into lists.
 * @param anyCase Whether names match in any case. Default: as they are spelled.
 * @throws {IntakeError} `too-large` when the rest is longer than {@link PARSED_BODY_BYTES}; `repeated-member` when a name
 *   on a path is there twice, or strings of two paths; `not-base64` when the string holds an escaped quote.
 */
export async function cutMember(
  chunks: Iterable<Buffer>,
  paths: readonly string[],
  { anyCase = false }: { readonly anyCase?: boolean } = {},
): Promise<CutBody> {
  const scanner = new Scanner(paths, anyCase)
  for await (const slice of inSlices(chunks)) scanner.feed(slice)
  return scanner.end()
}

/** A name on a path, and where the paths go on from it. */
interface Step {
  readonly name: string
  readonly next: Map<string, Step>
  /** Whether a string here is to be cut out. */
  isEnd: boolean
  seen: boolean
}

/** One pass over the tokens. It tells strings from structure, and of structure only as much as the paths take. */
class Scanner {
  readonly #root: Step = { name: '', next: new Map(), isEnd: false, seen: false }
  readonly #anyCase: boolean
  /** Longest spelling of a member name that is looked at, bytes: every character escaped, and quotes. */
  readonly #maxNameBytes: number
  readonly #rest = Buffer.allocUnsafeSlow(PARSED_BODY_BYTES)
  #restBytes = 0
  #cut: Buffer[] | undefined
  #cutting = false
  #inString = false
  #escaped = false
  /** Where in the rest the string under way began. */
  #stringAt = 0
  /** Per container around the cursor: whether it is an object, and how far along a path it is. */
  readonly #containers: { readonly isObject: boolean; readonly step: Step | undefined }[] = []
  /** Whether a string here would be a member's name. */
  #nameExpected = false
  /** The step that the last name made, until its value is over. */
  #step: Step | undefined

  constructor(paths: readonly string[], anyCase: boolean) {
    this.#anyCase = anyCase
    let longest = 0
    for (const path of paths) {
      let step = this.#root
      for (const name of path.split('.')) {
        longest = Math.max(longest, name.length)
        const key = anyCase ? name.toLowerCase() : name
        const next = step.next.get(key) ?? { name, next: new Map(), isEnd: false, seen: false }
        step.next.set(key, next)
        step = next
      }
      step.isEnd = true
    }
    this.#maxNameBytes = longest * ESCAPED_CHAR_BYTES + 2
  }

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
    return this.#cut === undefined ? { rest } : { rest, cut: this.#cut }
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
    else if (byte === COMMA) this.#nameExpected = this.#containers.at(-1)?.isObject === true
  }

  #open(isObject: boolean): void {
    this.#containers.push({ isObject, step: this.#containers.length === 0 ? this.#root : this.#step })
    this.#nameExpected = isObject
    this.#step = undefined
  }

  #close(): void {
    this.#containers.pop()
    this.#nameExpected = false
    this.#step = undefined
  }

  #startString(): void {
    if (!this.#nameExpected && this.#step?.isEnd === true) {
      if (this.#cut !== undefined) throw new IntakeError('repeated-member', { member: this.#step.name })
      this.#write(QUOTE)
      this.#cutting = true
      this.#cut = []
      return
    }
    this.#inString = true
    this.#stringAt = this.#restBytes - 1
  }

  #endString(): void {
    this.#inString = false
    if (!this.#nameExpected) return
    this.#nameExpected = false
    this.#step = undefined
    const around = this.#containers.at(-1)?.step
    if (around === undefined || this.#restBytes - this.#stringAt > this.#maxNameBytes) return
    const name = nameOf(this.#rest.toString('utf8', this.#stringAt, this.#restBytes))
    const step = around.next.get(this.#anyCase ? name.toLowerCase() : name)
    if (step === undefined) return
    if (step.seen) throw new IntakeError('repeated-member', { member: step.name })
    step.seen = true
    this.#step = step
  }

  #keep(part: Buffer): void {
    if (part.length > 0) this.#cut?.push(part)
  }

  #endCut(): void {
    this.#cutting = false
    this.#step = undefined
    // It would mean that the string goes on; no base64 does.
    if (this.#cut?.at(-1)?.at(-1) === BACKSLASH) throw new IntakeError('not-base64', {})
  }

  #write(byte: number): void {
    if (this.#restBytes >= PARSED_BODY_BYTES)
      throw new IntakeError('too-large', { limitBytes: PARSED_BODY_BYTES })
    this.#rest[this.#restBytes] = byte
    this.#restBytes += 1
  }
}

/** The name a string token stands for; empty when it is not JSON, which the parser will refuse. */
function nameOf(token: string): string {
  try {
    return String(JSON.parse(token))
  } catch {
    return ''
  }
}
