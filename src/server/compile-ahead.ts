import type { OperatorLog } from '../observe/operator-log.ts'
import type { Bootstraps } from '../sandbox/bootstraps.ts'
import { compileNode } from '../sandbox/compile-nodejs.ts'
import { compilePython } from '../sandbox/compile-python.ts'
import type { Interpreter } from '../sandbox/interpreters.ts'

/**
 * Compiles what every function of a language loads, for each interpreter. Functions run without it, too: what fails is told to the operator.
 *
 * @param contracts Names of the handler contracts.
 * @returns Stops it, and resolves when nothing of it runs.
 */
export function compileAhead(
  bootstraps: Bootstraps,
  interpreters: readonly Interpreter[],
  contracts: readonly string[],
  log: OperatorLog,
): () => Promise<void> {
  const stopping = new AbortController()
  const slower =
    (language: string) =>
    (error: unknown): void => {
      if (!stopping.signal.aborted) log.warn(`${language} functions start slower than they could`, { error })
    }
  const compilations = [
    compilePython(bootstraps.python, interpreters, stopping.signal).catch(slower('Python')),
    compileNode(bootstraps.nodejs, interpreters, contracts, stopping.signal).catch(slower('Node.js')),
  ]
  return async () => {
    stopping.abort()
    await Promise.all(compilations)
  }
}
