import type { FileHandle } from 'node:fs/promises'
import type { CallFilter, CallRecord } from '../model/call-record.ts'
import { parseLine, type LogLine } from './log-line.ts'

/** Read for one search, altogether. */
const MAX_READ_BYTES = 64 * 1024 * 1024
/** Text held for one search. What is found beyond it is not returned. */
const MAX_TEXT_BYTES = 32 * 1024 * 1024
const BLOCK_BYTES = 64 * 1024
/** More than any line that was written whole. */
const MAX_LINE_BYTES = 1024 * 1024
const NEW_LINE = 10
/** More pieces than a call's bounded log can have; a line that tells of more is not believed. */
const MAX_PIECES = 1024
/** Lines are in the order of their times, but for a clock that was set. */
const CLOCK_TOLERANCE_MS = 60_000

/**
 * Finds calls in a function's files, the newest first. Reads one block at a time, so that other work goes on.
 *
 * @param files Newest first; closed at the end, whatever happens.
 * @param limit Calls returned at most.
 */
export async function findCalls(
  files: readonly FileHandle[],
  filter: CallFilter,
  limit: number,
): Promise<readonly CallRecord[]> {
  try {
    const search = new Search(filter, limit)
    let leftBytes = MAX_READ_BYTES
    for (const file of files) {
      for await (const lines of linesBackwards(file)) {
        search.look(lines)
        leftBytes -= BLOCK_BYTES
        if (search.isOver || leftBytes <= 0) return search.results()
      }
    }
    return search.results()
  } finally {
    await Promise.all(files.map((file) => file.close()))
  }
}

/** The lines of a file from its end, those that begin in one block at a time, newest first. */
async function* linesBackwards(file: FileHandle): AsyncGenerator<readonly string[]> {
  const { size } = await file.stat()
  const block = Buffer.allocUnsafeSlow(BLOCK_BYTES)
  /** Read already: the end of a line that begins earlier in the file. */
  let end = Buffer.alloc(0)
  let from = size
  while (from > 0) {
    const length = Math.min(from, BLOCK_BYTES)
    from -= length
    const { bytesRead } = await file.read(block, 0, length, from)
    const bytes = Buffer.concat([block.subarray(0, bytesRead), end])
    const firstEnd = bytes.indexOf(NEW_LINE)
    const begin = from === 0 ? 0 : firstEnd < 0 ? bytes.length : firstEnd + 1
    yield bytes.toString('utf8', begin).split('\n').reverse()
    // Nobody writes longer lines: what is left of one that was is no line.
    end = begin > MAX_LINE_BYTES ? Buffer.alloc(0) : bytes.subarray(0, begin)
  }
}

/** A call that was found; its pieces come later, as they were written earlier. */
interface Found {
  readonly record: CallRecord
  readonly pieces: (string | undefined)[]
}

class Search {
  readonly #filter: CallFilter
  readonly #limit: number
  readonly #found: Found[] = []
  /** By request id: the last found call that lacks pieces, and how many. */
  readonly #lacking = new Map<string, { readonly found: Found; count: number }>()
  #textBytes = 0
  #isBeforeRange = false

  constructor(filter: CallFilter, limit: number) {
    this.#filter = filter
    this.#limit = limit
  }

  get isOver(): boolean {
    return this.#isFull && this.#lacking.size === 0
  }

  get #isFull(): boolean {
    return this.#isBeforeRange || this.#found.length >= this.#limit || this.#textBytes > MAX_TEXT_BYTES
  }

  /** @param lines Newest first, and older than those before. */
  look(lines: readonly string[]): void {
    const { requestId } = this.#filter
    const wanted = requestId === undefined ? '' : JSON.stringify(requestId)
    for (const text of lines) {
      if (text === '' || !text.includes(wanted)) continue
      const line = parseLine(text)
      if (line?.kind === 'piece') this.#addPiece(line)
      else if (line?.kind === 'call') this.#addCall(line)
    }
  }

  results(): readonly CallRecord[] {
    return this.#found.map(({ record, pieces }) =>
      pieces.length === 0 ? record : { ...record, log: joined(pieces) + record.log },
    )
  }

  #addCall({ record, pieces }: LogLine & { kind: 'call' }): void {
    // An earlier attempt of the same task: what the later one lacks is lost.
    this.#lacking.delete(record.requestId)
    const { fromMs } = this.#filter
    if (fromMs !== undefined && record.endedAtMs < fromMs - CLOCK_TOLERANCE_MS) this.#isBeforeRange = true
    if (this.#isFull || !this.#fits(record)) return
    const count = pieces > 0 && pieces <= MAX_PIECES ? Math.floor(pieces) : 0
    const found = { record, pieces: Array.from<string | undefined>({ length: count }) }
    this.#found.push(found)
    this.#textBytes += record.log.length
    if (count > 0) this.#lacking.set(record.requestId, { found, count })
  }

  #addPiece({ requestId, piece, text }: LogLine & { kind: 'piece' }): void {
    const lacking = this.#lacking.get(requestId)
    if (lacking === undefined) return
    const { pieces } = lacking.found
    if (piece < 1 || piece > pieces.length || pieces[piece - 1] !== undefined) return
    pieces[piece - 1] = text
    this.#textBytes += text.length
    lacking.count -= 1
    if (lacking.count === 0) this.#lacking.delete(requestId)
  }

  #fits(record: CallRecord): boolean {
    const { requestId, version, fromMs = 0, toMs = Infinity } = this.#filter
    return (
      (requestId === undefined || record.requestId === requestId) &&
      (version === undefined || record.version === version) &&
      record.endedAtMs >= fromMs &&
      record.endedAtMs < toMs
    )
  }
}

/** The pieces as one text; a note stands where some are lost. */
function joined(pieces: readonly (string | undefined)[]): string {
  let text = ''
  let lost = 0
  for (const piece of [...pieces, '']) {
    if (piece === undefined) lost += 1
    else {
      if (lost > 0) text += `… ${lost} part(s) of the log lost\n`
      lost = 0
      text += piece
    }
  }
  return text
}
