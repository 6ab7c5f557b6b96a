import { ScfError } from './errors.ts'
import { textOf } from './form.ts'

/** Most parts of a request. */
const MAX_PARTS = 1000
/** Longest head of a part, bytes. */
const MAX_PART_HEAD_BYTES = 4096
/** Longest boundary. Source: RFC 2046, 5.1.1. */
const MAX_BOUNDARY_CHARS = 70

const LINE_BREAK = Buffer.from('\r\n')
const HEAD_END = Buffer.from('\r\n\r\n')

/** One part of a multipart body. */
export interface Part {
  readonly name: string
  /** Lower-case, without parameters; absent when the part names none. */
  readonly contentType?: string
  readonly isFile: boolean
  /** A piece of the body. */
  readonly content: Buffer
}

/**
 * Takes a `multipart/form-data` body apart.
 *
 * @param contentType The request's header.
 * @throws {ScfError} `InvalidRequest`, the vendor's code for a malformed multipart request
 */
export function readMultipart(contentType: string, body: Buffer): readonly Part[] {
  const boundary = boundaryOf(contentType)
  const opening = Buffer.from(`--${boundary}`)
  const separator = Buffer.from(`\r\n--${boundary}`)
  const parts: Part[] = []
  const names = new Set<string>()
  if (!body.subarray(0, opening.length).equals(opening))
    throw malformed('it does not begin with its boundary')
  let at = opening.length
  // After the last boundary come two hyphens; after any other a line break.
  while (!body.subarray(at, at + 2).equals(Buffer.from('--'))) {
    if (!body.subarray(at, at + 2).equals(LINE_BREAK)) throw malformed('a boundary is not followed by a line')
    // The line break that ends the boundary may also be the empty line of a part without headers.
    const headEnd = body.subarray(at, at + MAX_PART_HEAD_BYTES).indexOf(HEAD_END)
    if (headEnd < 0) throw malformed('the head of a part does not end')
    const contentAt = at + headEnd + HEAD_END.length
    const end = body.indexOf(separator, contentAt)
    if (end < 0) throw malformed('a part does not end')
    const part = partOf(textOf(body.subarray(at, at + headEnd)), body.subarray(contentAt, end))
    if (names.has(part.name)) throw malformed('a name is there twice')
    if (parts.length === MAX_PARTS) throw malformed(`it has more than ${MAX_PARTS} parts`)
    names.add(part.name)
    parts.push(part)
    at = end + separator.length
  }
  return parts
}

function partOf(head: string, content: Buffer): Part {
  let disposition: string | undefined
  let contentType: string | undefined
  for (const line of head.split('\r\n')) {
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(colon, 0)).trim().toLowerCase()
    if (name === 'content-disposition') disposition = line.slice(colon + 1).trim()
    if (name === 'content-type') contentType = mediaTypeOf(line.slice(colon + 1))
  }
  const name = /;\s*name="([^"]{1,1024})"/i.exec(disposition ?? '')?.[1]
  if (name === undefined) throw malformed('a part has no name')
  return {
    name,
    isFile: /;\s*filename\*?=/i.test(disposition ?? ''),
    content,
    ...(contentType === undefined ? {} : { contentType }),
  }
}

/** The type of a Content-Type value: lower-case, without its parameters. */
export function mediaTypeOf(contentType: string): string {
  return (contentType.split(';', 1)[0] ?? '').trim().toLowerCase()
}

function boundaryOf(contentType: string): string {
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]+)"|([^\s;"]+))/i.exec(contentType) ?? []
  const boundary = quoted ?? plain
  if (boundary === undefined || boundary.length > MAX_BOUNDARY_CHARS)
    throw malformed('its Content-Type has no usable boundary')
  return boundary
}

function malformed(reason: string): ScfError {
  return new ScfError('InvalidRequest', `the multipart body is malformed: ${reason}`)
}
