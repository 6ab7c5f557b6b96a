// Runs the benchmark on a fresh clone: installs what is missing, then hands over to the carried Node.
// Plain JavaScript for the Node that happens to be installed. Options are those of bench/run.ts; a first word of PROGRAMS runs
// that program instead, with its own options.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PROGRAMS = { dialects: 'dialects.ts', cold: 'cold.ts', async: 'async.ts', compare: 'compare.ts' }

const root = fileURLToPath(new URL('..', import.meta.url))
const benchDirectory = join(root, 'bench')
const carriedNode = join(root, 'node_modules', '.bin', 'node')

if (process.platform !== 'linux') fail('The benchmark reads /proc and pins CPUs: it runs on Linux only.')
if (!existsSync(carriedNode)) install(root)
if (!isBenchInstalled()) install(benchDirectory)
if (!hasProgram('wrk')) installWrk()

const [first, ...rest] = process.argv.slice(2)
const named = Object.hasOwn(PROGRAMS, first ?? '') ? PROGRAMS[first] : undefined
const options = named === undefined ? process.argv.slice(2) : rest
const child = spawn(carriedNode, [join(benchDirectory, named ?? 'run.ts'), ...options], { stdio: 'inherit' })
// Ctrl-C reaches the benchmark too, which ends its servers before it exits: wait for that.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => child.kill('SIGTERM'))
process.on('SIGHUP', () => child.kill('SIGHUP'))
child.once('error', (error) => fail(error.message))
child.once('exit', (code) => process.exit(code ?? 1))

/** Whether bench/node_modules holds exactly the pinned versions of what is compared. */
function isBenchInstalled() {
  const { dependencies, optionalDependencies } = readJson(join(benchDirectory, 'package.json'))
  const platform = process.arch === 'x64' ? 'linux-64' : `linux-${process.arch}`
  // Of the optional ones, only this platform's can be there.
  const wanted = Object.entries(optionalDependencies).filter(([name]) => name.endsWith(platform))
  return [...Object.entries(dependencies), ...wanted].every(([name, version]) => {
    const file = join(benchDirectory, 'node_modules', name, 'package.json')
    return existsSync(file) && readJson(file).version === version
  })
}

function install(directory) {
  run('npm', ['ci', '--no-fund', '--no-audit'], directory)
}

function installWrk() {
  const install = ['apt-get', 'install', '-y', '--no-install-recommends', 'wrk']
  if (process.getuid() !== 0 || !hasProgram('apt-get')) {
    fail(`The load generator wrk is missing. Install it and try again:\n  sudo ${install.join(' ')}`)
  }
  run('apt-get', ['update', '-qq'], root)
  run(install[0], install.slice(1), root)
}

/** Output goes to stderr: with --json, stdout is for the results alone. */
function run(command, args, directory) {
  const { status, error } = spawnSync(command, args, { cwd: directory, stdio: ['ignore', 2, 2] })
  if (status !== 0) fail(`${command} ${args.join(' ')} failed${error ? `: ${error.message}` : ''}`)
}

function hasProgram(name) {
  return (process.env.PATH ?? '').split(':').some((directory) => existsSync(join(directory, name)))
}

function readJson(file) {
  return JSON.parse(readFileSync(file, 'utf8'))
}

function fail(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
