import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { chmod, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Interpreter } from './interpreters.ts'
import { lowerPriority } from './priority.ts'

const run = promisify(execFile)

/** Some thousand lines take a tenth of a second. */
const TIMEOUT_MS = 30_000

/**
 * Writes the compiled form of the Python bootstrap beside it, for each Python of this host. Instances see the bootstrap read-only
 * and would compile it at every start: that is a third of what a Python start costs. What is compiled already is left alone, and
 * instances that start meanwhile compile for themselves.
 *
 * @param signal Ends it; what is compiled by then stays.
 * @throws when an interpreter cannot compile it: functions run all the same.
 */
export async function compilePython(
  bootstrapDir: string,
  interpreters: readonly Interpreter[],
  signal: AbortSignal,
): Promise<void> {
  for (const { language, path } of interpreters) {
    if (language !== 'python') continue
    const options = {
      cwd: '/',
      env: { LANG: 'C.UTF-8' },
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
      signal,
    } as const
    const compiling = run(path, ['-s', '-E', '-m', 'compileall', '-q', bootstrapDir], options)
    const { child } = compiling
    const closed = child.pid === undefined ? undefined : once(child, 'close')
    if (child.pid !== undefined) lowerPriority(child.pid)
    try {
      await compiling
    } finally {
      // One that is told to end has not ended yet.
      await closed
    }
  }
  // The server's umask must not close the files to functions' user ids.
  for (const entry of await readdir(bootstrapDir, { recursive: true, withFileTypes: true }))
    if (entry.name === '__pycache__') await chmod(join(entry.parentPath, entry.name), 0o755)
    else if (entry.name.endsWith('.pyc')) await chmod(join(entry.parentPath, entry.name), 0o644)
}
