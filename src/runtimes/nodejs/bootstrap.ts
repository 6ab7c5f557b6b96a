import { greet } from './greeting.ts'
import { readProgram, runProgram } from './program.ts'

greet()
runProgram(readProgram())
