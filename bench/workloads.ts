import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A function under bench/functions, by folder name. */
export type FunctionName = 'hello' | 'echo' | 'clock'

/** One kind of request, with the only answer that counts as right. */
export interface Workload {
  readonly name: 'hello' | 'echo 1 KB' | 'echo 1 MB'
  readonly function: FunctionName
  readonly body: Buffer<ArrayBuffer>
  readonly expected: Buffer<ArrayBuffer>
  /** The same bytes as files, for wrk. */
  readonly bodyFile: string
  readonly expectedFile: string
}

/** Sent with every request to every system: what FC's own SDK sends for a Buffer, and nobody parses it. */
export const contentType = 'application/octet-stream'

/** Builds the workloads and writes their bytes below the given directory. */
export function createWorkloads(directory: string): readonly [Workload, ...Workload[]] {
  return [
    workload('hello', 'hello', Buffer.from('{"name":"world"}'), Buffer.from('{"message":"Hello, world!"}')),
    workload('echo 1 KB', 'echo', printable(1024)),
    workload('echo 1 MB', 'echo', printable(1024 * 1024)),
  ]

  function workload(
    name: Workload['name'],
    functionName: FunctionName,
    body: Buffer<ArrayBuffer>,
    expected = body,
  ): Workload {
    const stem = join(directory, name.replaceAll(' ', '-'))
    const files = { bodyFile: `${stem}.request`, expectedFile: `${stem}.response` }
    writeFileSync(files.bodyFile, body)
    writeFileSync(files.expectedFile, expected)
    return { name, function: functionName, body, expected, ...files }
  }
}

/** Printable bytes in which no line equals another, so that a lost or repeated piece shows. */
function printable(length: number): Buffer<ArrayBuffer> {
  let text = ''
  for (let line = 0; text.length < length; line += 1)
    text += `${line.toString(36).padStart(8, '0')} anvoke bench\n`
  return Buffer.from(text.slice(0, length))
}
