import fs from 'node:fs'
import { createRequire } from 'node:module'
import { Script } from 'node:vm'
import { OWN_DIRECTORY } from './place.ts'

/** Everything from `life.ts` on, and what V8 made of it: useless to any other version of V8, which notices. */
const PROGRAM = `${OWN_DIRECTORY}program.js`
const COMPILED = `${OWN_DIRECTORY}program.compiled`

type Program = (load: (specifier: string) => Promise<unknown>, require: NodeJS.Require) => void

/** Runs the program that lies beside the bootstrap. */
export function runProgram(): void {
  const script = new Script(fs.readFileSync(PROGRAM, 'utf8'), {
    filename: PROGRAM,
    cachedData: fs.readFileSync(COMPILED),
  })
  const program: Program = script.runInThisContext()
  program((specifier) => import(specifier), createRequire(PROGRAM))
}
