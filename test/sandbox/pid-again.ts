import { spawn } from 'node:child_process'
import { KnownProcess } from '../../src/sandbox/known-process.ts'
import { end, endAndGiveAgain } from './give-again.ts'

// In a pid namespace of its own, where nobody else takes numbers: has a number given twice, and says what is thought of it.
const first = spawn('sleep', ['1000'], { stdio: 'ignore' })
const known = new KnownProcess(first.pid ?? 0)
const told = [known.isStill()]
const { child, isAgain } = await endAndGiveAgain(first, () => told.push(known.isStill()))
told.push(known.isStill())
process.stdout.write(JSON.stringify({ isAgain, told }))
await end(child)
