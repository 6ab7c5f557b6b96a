import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Duplex, Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { NODE_COMPILER, NODE_REHEARSED } from './bootstraps.ts'
import type { Interpreter } from './interpreters.ts'
import { lowerPriority } from './priority.ts'

/** One call takes some 50 ms. */
const TIMEOUT_MS = 30_000

/** Of `../runtimes/protocol.md`. */
const TYPE = { setup: 2, ready: 3, invoke: 5, result: 6 } as const
const HEADER_BYTES = 12
const EPOCH = 1

/** The members of every contract that are looked into for a call that does nothing. */
const CONTEXT = { generation: [99], maxResultBytes: 1024, userData: {}, credentials: {}, members: {} }

/**
 * Writes what V8 makes of the Node.js bootstrap beside it, for each Node.js of this host: that spares a start some 3 ms of compiling. To
 * know which functions a start needs it lets the bootstrap serve a call of each contract that does nothing. What is compiled already is
 * left alone, and instances that start meanwhile compile for themselves.
 *
 * @param contracts Names of the contracts that the bootstrap knows.
 * @param signal Ends it, and leaves nothing of the interpreter it was at.
 * @throws When an interpreter does not serve the call: functions run all the same.
 */
export async function compileNode(
  bootstrapDir: string,
  interpreters: readonly Interpreter[],
  contracts: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  for (const { language, path, version } of interpreters) {
    const target = join(bootstrapDir, `program-${version}.compiled`)
    if (language !== 'nodejs' || existsSync(target)) continue
    try {
      for (const contract of contracts)
        await replace(target, await compiledFor(path, bootstrapDir, contract, signal))
    } catch (error) {
      await rm(target, { force: true })
      throw error
    }
  }
}

/** @returns What is compiled by the end of one call, and what was before. */
async function compiledFor(
  program: string,
  bootstrapDir: string,
  contract: string,
  signal: AbortSignal,
): Promise<Buffer> {
  signal.throwIfAborted()
  const child = spawn(program, [join(bootstrapDir, NODE_COMPILER)], {
    cwd: '/',
    env: {},
    stdio: ['ignore', 'pipe', 'ignore', 'pipe', 'pipe'],
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
    signal,
  })
  const ended = endOf(child, program)
  if (child.pid !== undefined) lowerPriority(child.pid)
  const [, output, , channel, tickets]: readonly unknown[] = child.stdio
  if (!(output instanceof Readable && channel instanceof Duplex && tickets instanceof Duplex)) {
    await ended
    throw new Error('the pipes of a new process are missing')
  }
  for (const stream of [channel, tickets]) stream.on('error', () => undefined)
  tickets.end(Buffer.of(EPOCH))
  const answered = serveOneCall(channel, contract, bootstrapDir)
  const [compiled] = await Promise.all([buffer(output), ended])
  if (!answered()) throw new Error(`${program} did not answer a call of the contract ${contract}`)
  return compiled
}

function endOf(child: ChildProcess, program: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => {
      // One that runs has not ended when it is told to.
      if (child.pid === undefined) reject(error)
    })
    child.once('close', (code, signal) => {
      if (code === 0) resolve()
      else reject(new Error(`${program} ended with ${code ?? signal}`))
    })
  })
}

/** Plays the server: sets up, calls once, and closes. @returns Tells whether the call was answered. */
function serveOneCall(channel: Duplex, contract: string, codeDir: string): () => boolean {
  let isAnswered = false
  let unread = Buffer.alloc(0)
  channel.on('data', (chunk: Buffer) => {
    unread = Buffer.concat([unread, chunk])
    while (unread.length >= HEADER_BYTES && unread.length >= 4 + unread.readUInt32LE(0)) {
      const type = unread[4]
      unread = unread.subarray(4 + unread.readUInt32LE(0))
      if (type === TYPE.ready) channel.write(frame(TYPE.invoke, EPOCH, '{"requestId":""}', '{}'))
      if (type !== TYPE.result) continue
      isAnswered = true
      channel.end()
    }
  })
  const setup = { contract, handler: NODE_REHEARSED, codeDir, concurrency: 1, requestId: '', environment: {} }
  channel.write(frame(TYPE.setup, 0, '', JSON.stringify({ ...setup, context: CONTEXT })))
  return () => isAnswered
}

/** Nobody sees half a file, and the server's umask does not close it to functions' user ids. */
async function replace(target: string, content: Buffer): Promise<void> {
  const draft = `${target}.${randomUUID()}`
  await writeFile(draft, content)
  await chmod(draft, 0o644)
  await rename(draft, target)
}

function frame(type: number, flag: number, meta: string, payload: string): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(HEADER_BYTES), Buffer.from(meta), Buffer.from(payload)])
  bytes.writeUInt32LE(bytes.length - 4, 0)
  bytes[4] = type
  bytes[5] = flag
  bytes.writeUInt16LE(Buffer.byteLength(meta), 6)
  bytes.writeUInt32LE(1, 8)
  return bytes
}
