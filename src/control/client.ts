import { request as sendRequest, type IncomingMessage } from 'node:http'
import { isJsonObject, parsedJson } from '../model/json.ts'
import { HeldDirectory, SOCKET_NAME } from './socket.ts'

/** Longest answer that is read: a page of deliveries with what they would have told. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024
/** Most operations take milliseconds; a walk over a million calls takes seconds. */
const ANSWER_WITHIN_MS = 120_000

/** There is no way to the server of a data directory. */
export class DoorClosed extends Error {
  override readonly name = 'DoorClosed'
  /** `absent`: no server runs with it. `forbidden`: it is another user's. `silent`: no answer came, or one that makes no sense. */
  readonly reason: 'absent' | 'forbidden' | 'silent'

  constructor(reason: DoorClosed['reason'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/** The server did not do what it was asked to. */
export class OperationRefused extends Error {
  override readonly name = 'OperationRefused'
  readonly status: number
  /** One of `ControlErrorCode`, or of a later version's. */
  readonly code: string
  readonly fix: string | undefined

  constructor(status: number, code: string, message: string, fix: string | undefined) {
    super(message)
    this.status = status
    this.code = code
    this.fix = fix
  }
}

export interface Question {
  /** Default `GET`. */
  readonly method?: 'GET' | 'POST' | 'PATCH'
  /** Segments behind the version of the API; names among them as they are. */
  readonly path: readonly string[]
  /** Absent members are left out. */
  readonly query?: Readonly<Record<string, string | number | undefined>>
  readonly body?: object
}

/** Asks the server of a data directory, one question after the other. */
export class ControlClient {
  readonly #directory: HeldDirectory

  private constructor(directory: HeldDirectory) {
    this.#directory = directory
  }

  /** @throws {DoorClosed} there is no such directory, or it is another user's. Whether a server runs, the first question tells. */
  static async open(dataDir: string): Promise<ControlClient> {
    try {
      return new ControlClient(await HeldDirectory.open(dataDir))
    } catch (error) {
      throw closedBy(error)
    }
  }

  /**
   * @returns What was answered, in a form of `api.ts` that belongs to the path.
   * @throws {OperationRefused}
   * @throws {DoorClosed}
   */
  async ask<Answer extends object>({ method = 'GET', path, query = {}, body }: Question): Promise<Answer> {
    const parameters = new URLSearchParams(
      Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])),
    )
    const search = parameters.size === 0 ? '' : `?${parameters.toString()}`
    const url = `/v1/${path.map(encodeURIComponent).join('/')}${search}`
    const sent = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
    const { status, text } = await this.#send(method, url, sent)
    const answer = parsedJson(text)
    if (!isJsonObject(answer))
      throw new DoorClosed('silent', `what answered is no server of this kind (${status})`)
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the server of the same version answers in this form
    if (status === 200) return answer as Answer
    const error = isJsonObject(answer['error']) ? answer['error'] : {}
    const { code, message, fix } = error
    throw new OperationRefused(
      status,
      wordOf(code),
      wordOf(message),
      fix === undefined ? undefined : wordOf(fix),
    )
  }

  async close(): Promise<void> {
    await this.#directory.close()
  }

  async #send(
    method: string,
    path: string,
    body: Buffer | undefined,
  ): Promise<{ readonly status: number; readonly text: string }> {
    try {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const request = sendRequest({
          socketPath: this.#directory.pathTo(SOCKET_NAME),
          method,
          path,
          agent: false,
          signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
          headers:
            body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': body.length },
        })
        request.once('response', resolve).once('error', reject).end(body)
      })
      return { status: response.statusCode ?? 0, text: await readText(response) }
    } catch (error) {
      throw closedBy(error)
    }
  }
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let byteLength = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    byteLength += chunk.length
    if (byteLength > MAX_ANSWER_BYTES) throw new DoorClosed('silent', 'the answer is endless')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function closedBy(error: unknown): DoorClosed {
  if (error instanceof DoorClosed) return error
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const message = error instanceof Error ? error.message : String(error)
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ECONNREFUSED':
      return new DoorClosed('absent', message, { cause: error })
    case 'EACCES':
    case 'EPERM':
      return new DoorClosed('forbidden', message, { cause: error })
    default:
      return new DoorClosed('silent', message, { cause: error })
  }
}

function wordOf(value: unknown): string {
  return typeof value === 'string' ? value : 'no reason given'
}
