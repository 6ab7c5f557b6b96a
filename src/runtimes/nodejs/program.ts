import fs from 'node:fs'
import { createRequire } from 'node:module'
import { Script } from 'node:vm'
import { OWN_DIRECTORY } from './place.ts'

/** Everything from `life.ts` on. */
const PROGRAM = `${OWN_DIRECTORY}program.js`
/** What this Node.js made of it, once the server has had that compiled. */
const COMPILED = `${OWN_DIRECTORY}program-${process.versions.node}.compiled`

type Program = (load: (specifier: string) => Promise<unknown>, require: NodeJS.Require) => void

/** Reads the program that lies beside the bootstrap. */
export function readProgram(): Script {
  const cachedData = fs.existsSync(COMPILED) ? fs.readFileSync(COMPILED) : undefined
  return new Script(fs.readFileSync(PROGRAM, 'utf8'), { filename: PROGRAM, cachedData })
}

export function runProgram(script: Script): void {
  const program: Program = script.runInThisContext()
  const require = createRequire(PROGRAM)
  // The bootstrap is no module of the function's.
  delete require.cache[`${OWN_DIRECTORY}bootstrap.cjs`]
  program((specifier) => import(specifier), require)
}
