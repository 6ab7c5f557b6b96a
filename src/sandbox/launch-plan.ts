import { join } from 'node:path'
import { NODE_BOOTSTRAP, type Bootstraps } from './bootstraps.ts'
import type { Interpreter } from './interpreters.ts'
import type { Mount } from './sandbox.ts'

/** What starts a runtime in a sandbox, apart from the function's own code. */
export interface LaunchPlan {
  readonly command: readonly string[]
  /** It can prepare itself once and be forked for each function. */
  readonly forks?: true
  readonly mounts: readonly Mount[]
  readonly environment: Readonly<Record<string, string>>
}

const BOOTSTRAP_TARGET = '/anvoke/bootstrap'
const NODE_TARGET = '/anvoke/node/bin/node'

/**
 * The whole environment until the bootstrap replaces it by the function's. Nothing comes from the server's own; least of
 * all NODE_OPTIONS, and NODE_EXTRA_CA_CERTS, which alone would add about 40 ms to every start.
 */
const ENVIRONMENT = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/tmp', LANG: 'C.UTF-8', TZ: 'UTC' }

/** Resident memory of an idle Node.js process with its bootstrap, MiB, rounded up; measured with Node.js 26. */
const NODE_BASE_MIB = 56

/** Share of a function's memory left to buffers, code and the young generation. */
const NODE_OUTSIDE_HEAP = 0.1

/** The smallest heap in which Node.js and a bootstrap run at all, MiB. */
const NODE_SMALLEST_HEAP_MIB = 32

/**
 * How to start an interpreter with the bootstrap of its language.
 *
 * @param bootstraps Directories that `materialiseBootstraps` made.
 * @param limits.memoryMib Memory of the function: a garbage-collected language is told to stay below it by itself.
 */
export function launchPlan(
  interpreter: Interpreter,
  bootstraps: Bootstraps,
  limits: { readonly memoryMib: number },
): LaunchPlan {
  const bootstrap = { source: bootstraps[interpreter.language], target: BOOTSTRAP_TARGET }
  return interpreter.language === 'nodejs'
    ? nodePlan(interpreter, bootstrap, limits.memoryMib)
    : pythonPlan(interpreter, bootstrap)
}

function nodePlan(interpreter: Interpreter, bootstrap: Mount, memoryMib: number): LaunchPlan {
  const isShown = interpreter.path.startsWith('/usr/')
  const outsideHeapMib = Math.max(NODE_BASE_MIB, memoryMib * NODE_OUTSIDE_HEAP)
  const heapMib = Math.max(NODE_SMALLEST_HEAP_MIB, Math.floor(memoryMib - outsideHeapMib))
  return {
    command: [
      isShown ? interpreter.path : NODE_TARGET,
      `--max-old-space-size=${heapMib}`,
      join(BOOTSTRAP_TARGET, NODE_BOOTSTRAP),
    ],
    mounts: [bootstrap, ...(isShown ? [] : [{ source: interpreter.path, target: NODE_TARGET }])],
    environment: ENVIRONMENT,
  }
}

function pythonPlan(interpreter: Interpreter, bootstrap: Mount): LaunchPlan {
  const { path, needs = [] } = interpreter
  return {
    // No compiled files (the code is read-only), no buffering behind the bootstrap's back, no user's packages and no
    // PYTHON… variables. Not -I: it would hide the bootstrap's own directory from its imports.
    command: [path, '-B', '-u', '-s', '-E', join(BOOTSTRAP_TARGET, 'bootstrap.py')],
    forks: true,
    // At its own path: a Python may be built with that path inside, for its library or its shared object.
    mounts: [bootstrap, ...needs.map((place) => ({ source: place, target: place }))],
    environment: ENVIRONMENT,
  }
}
