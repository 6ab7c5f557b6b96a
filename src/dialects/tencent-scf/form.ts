import { isUtf8 } from 'node:buffer'
import { formDecode } from '../../auth/percent.ts'
import { inSlices } from '../../intake/slices.ts'
import { ScfError } from './errors.ts'

/** Most parameters of a request. The largest lists hold a few hundred short entries. */
const MAX_PARAMETERS = 10_000

/** Values longer than this are decoded as bytes, in slices, so that no request holds up the others. */
const LARGE_VALUE_BYTES = 64 * 1024

/** What all values that are decoded at once may have together, bytes. */
const SMALL_VALUES_BYTES = 1024 * 1024

/** So many are put in their places one by one. */
const FEW_PARAMETERS = 24

const AMPERSAND = 0x26
const EQUALS = 0x3d
const PLUS = 0x2b
const PERCENT = 0x25
const SPACE = 0x20

/** One parameter of a query or a form, decoded. */
export interface Parameter {
  readonly key: string
  /** Empty when the value is {@link large}. */
  readonly value: string
  /** The bytes of a value too long to be decoded at once. */
  readonly large?: Buffer
}

/**
 * Decodes a query, or a form of at most about a megabyte. Parameters without a name are dropped, as the clients do when
 * they sign.
 *
 * @returns In order of their names, no name twice.
 * @throws {ScfError} `InvalidParameter` when it is malformed, has too many parameters or one of them twice.
 */
export function readForm(text: string): readonly Parameter[] {
  const form = new Form()
  // Each is the next of its kind, looked for again once it is passed: so no part of the text is searched twice.
  let equals = positionOf('=', text, 0)
  let percent = positionOf('%', text, 0)
  let plus = positionOf('+', text, 0)
  for (let start = 0; start < text.length;) {
    const end = positionOf('&', text, start)
    if (equals < start) equals = positionOf('=', text, start)
    let key: string | undefined = text.slice(start, Math.min(equals, end))
    let value: string | undefined = text.slice(equals + 1, end)
    if (percent < end || plus < end) {
      key = formDecode(key)
      value = formDecode(value)
      if (percent < end) percent = positionOf('%', text, end)
      if (plus < end) plus = positionOf('+', text, end)
    }
    if (key === undefined || value === undefined) throw malformed()
    if (key !== '') form.add({ key, value })
    start = end + 1
  }
  return form.inOrder()
}

/** Where a character is next; the end of the text when it comes no more. */
function positionOf(character: string, text: string, from: number): number {
  const at = text.indexOf(character, from)
  return at === -1 ? text.length : at
}

/**
 * Decodes a form of any size that the listener let through: long values become bytes, in the place of `bytes`, which are
 * overwritten. Waits between slices.
 *
 * @throws {ScfError} as {@link readForm}, and `RequestSizeLimitExceeded` for too much in short values
 */
export async function readLargeForm(bytes: Buffer): Promise<readonly Parameter[]> {
  const form = new Form()
  let smallBytes = 0
  for (let start = 0; start < bytes.length;) {
    const ampersand = bytes.indexOf(AMPERSAND, start)
    const end = ampersand === -1 ? bytes.length : ampersand
    const piece = bytes.subarray(start, end)
    start = end + 1
    if (piece.length <= LARGE_VALUE_BYTES) {
      smallBytes += piece.length
      if (smallBytes > SMALL_VALUES_BYTES)
        throw new ScfError(
          'RequestSizeLimitExceeded',
          'the parameters of the request are too many or too long',
        )
      const [parameter] = readForm(textOf(piece))
      if (parameter !== undefined) form.add(parameter)
      continue
    }
    const equals = piece.indexOf(EQUALS)
    const key = equals < 0 || equals > 1024 ? undefined : formDecode(textOf(piece.subarray(0, equals)))
    if (key === undefined || key === '') throw malformed()
    form.add({ key, value: '', large: await decodeInPlace(piece.subarray(equals + 1)) })
  }
  return form.inOrder()
}

/** Undoes percent-encoding over the bytes themselves: what comes out is never longer than what went in. */
async function decodeInPlace(bytes: Buffer): Promise<Buffer> {
  let length = 0
  /** Digits of an escape still to come, and the value of those that came. */
  let open = 0
  let code = 0
  for await (const slice of inSlices([bytes])) {
    for (const byte of slice) {
      if (open > 0) {
        code = code * 16 + hexDigit(byte)
        open -= 1
        if (open > 0) continue
        bytes[length] = code
        length += 1
      } else if (byte === PERCENT) {
        open = 2
        code = 0
      } else {
        bytes[length] = byte === PLUS ? SPACE : byte
        length += 1
      }
    }
  }
  if (open > 0) throw malformed()
  return bytes.subarray(0, length)
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  if (letter >= 0x61 && letter <= 0x66) return letter - 0x57
  throw malformed()
}

/** Parameters on their way into the order of their names, each name once. */
class Form {
  readonly #parameters: Parameter[] = []
  /** The names, once there are more than a few. */
  #names: Set<string> | undefined

  /** @throws {ScfError} `InvalidParameter` when it is given twice, or one too many */
  add(parameter: Parameter): void {
    const parameters = this.#parameters
    if (parameters.length >= FEW_PARAMETERS) {
      this.#names ??= new Set(parameters.map(({ key }) => key))
      this.#addToMany(parameter, this.#names)
      return
    }
    // Clients write them almost in order: this looks at one or two.
    let at = parameters.length
    for (; at > 0; at -= 1) {
      const before = parameters[at - 1]
      if (before === undefined || before.key < parameter.key) break
      if (before.key === parameter.key) throw givenTwice()
      parameters[at] = before
    }
    parameters[at] = parameter
  }

  inOrder(): readonly Parameter[] {
    return this.#names === undefined ? this.#parameters : this.#parameters.toSorted(byName)
  }

  #addToMany(parameter: Parameter, names: Set<string>): void {
    if (names.has(parameter.key)) throw givenTwice()
    if (names.size === MAX_PARAMETERS)
      throw new ScfError('InvalidParameter', `the request has more than ${MAX_PARAMETERS} parameters`)
    names.add(parameter.key)
    this.#parameters.push(parameter)
  }
}

/** Puts parameters in the order in which they are signed. */
export function byName(a: Parameter, b: Parameter): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0
}

/** The value of a parameter. Requests have so few that looking through them costs less than a table of them. */
export function valueOf(parameters: readonly Parameter[], name: string): string | undefined {
  for (const { key, value } of parameters) if (key === name) return value
  return undefined
}

/** @throws {ScfError} `InvalidParameter` */
export function textOf(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new ScfError('InvalidParameter', 'the request is not UTF-8')
  return bytes.toString('utf8')
}

function givenTwice(): ScfError {
  return new ScfError('InvalidParameter', 'a parameter of the request is given twice')
}

function malformed(): ScfError {
  return new ScfError('InvalidParameter', 'the parameters of the request are not form-encoded')
}
