import fs from 'node:fs'
import { greet } from './greeting.ts'
import { readProgram, runProgram } from './program.ts'

// In place of the bootstrap, for a server that lets it serve one call: writes to descriptor 1 what V8 has compiled by its end, and had
// compiled before. See `../../sandbox/compile-nodejs.ts`.
const script = readProgram()
const exit: (code?: number) => never = process.exit.bind(process)
process.exit = (code) => {
  fs.writeFileSync(1, script.createCachedData())
  return exit(Number(code ?? 0))
}
greet()
runProgram(script)
