// Kills a server under load at random moments, on a fresh clone too: installs what is missing, then hands over to the carried
// Node.js. Options are those of test/crash/main.ts.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { carriedNode, checkoutEnvironment, fail, root, setUp } from './setup.js'

setUp()
const program = join(root, 'test', 'crash', 'main.ts')
const child = spawn(carriedNode, [program, ...process.argv.slice(2)], {
  env: checkoutEnvironment(),
  stdio: 'inherit',
})
// Ctrl-C reaches the program too, which ends its server before it exits: wait for that.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => child.kill('SIGTERM'))
process.on('SIGHUP', () => child.kill('SIGHUP'))
child.once('error', (error) => fail(error.message))
child.once('exit', (code) => process.exit(code ?? 1))
