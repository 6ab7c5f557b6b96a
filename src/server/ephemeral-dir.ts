import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { ServerDirectory } from '../sandbox/server-directory.ts'

/** Makes a directory that is gone when the process is; one that is killed leaves it to the next server of the same user. */
export function makeEphemeralDir(): string {
  const { path: dir } = new ServerDirectory(tmpdir(), 'anvoke-dev')
  process.once('exit', () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }))
  return dir
}
