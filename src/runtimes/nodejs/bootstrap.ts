import { greet } from './greeting.ts'
import { runProgram } from './program.ts'

greet()
runProgram()
