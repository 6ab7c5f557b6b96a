// What a fresh clone needs before anything else can run. Plain JavaScript for the Node.js that happens to be installed,
// and nothing but Node's own modules: this runs before there are others.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))
/** Where the server looks too; ordinary users often have neither in their PATH. */
const SYSTEM_DIRECTORIES = ['/usr/sbin', '/sbin']

const binaries = join(root, 'node_modules', '.bin')

/** The Node.js that comes as a dependency and runs everything else. */
export const carriedNode = join(binaries, 'node')

/** Programs of the system, and the Debian package each comes in. */
const SYSTEM_PROGRAMS = [
  { program: 'bwrap', package: 'bubblewrap', without: 'functions run without a sandbox of namespaces' },
  { program: 'python3', package: 'python3', without: 'functions in Python do not run' },
  { program: 'slirp4netns', package: 'slirp4netns', without: 'functions have no network' },
  { program: 'ip', package: 'iproute2', without: 'functions have no network' },
]
const TEST_PROGRAMS = [
  { program: 'strace', package: 'strace', without: 'tests of power cuts and of disks that fail are skipped' },
]

/**
 * Installs what is missing: npm packages always, system packages as root; otherwise says what to type and goes on
 * without them. Ends the process when the npm packages cannot be installed.
 *
 * @param forTests Also what only tests need.
 */
export function setUp({ forTests = false } = {}) {
  if (process.platform !== 'linux') fail('Anvoke runs on Linux only.')
  if (!areDependenciesInstalled()) {
    say('Installing npm packages …')
    const flags = ['--include=dev', '--include=optional', '--no-fund', '--no-audit']
    if (!run('npm', ['ci', ...flags])) fail('npm ci failed; its messages above say why.')
  }
  if (!existsSync(carriedNode)) {
    fail(`No Node.js comes along for ${process.platform}-${process.arch}: x64 and arm64 are supported.`)
  }
  installSystemPrograms(forTests ? [...SYSTEM_PROGRAMS, ...TEST_PROGRAMS] : SYSTEM_PROGRAMS)
}

/** An environment in which the checkout's own programs come first. */
export function checkoutEnvironment(extra = {}) {
  return { ...process.env, PATH: [binaries, process.env.PATH ?? ''].join(delimiter), ...extra }
}

export function hasProgram(name, further = []) {
  const directories = [...(process.env.PATH ?? '').split(delimiter), ...further]
  return directories.some((directory) => existsSync(join(directory, name)))
}

export function say(message) {
  process.stderr.write(`${message}\n`)
}

export function fail(message) {
  say(message)
  process.exit(1)
}

/** Whether node_modules holds what package-lock.json asks for; npm writes down what it installed when it is done. */
function areDependenciesInstalled() {
  const installed = readPackages(join(root, 'node_modules', '.package-lock.json'))
  const wanted = readPackages(join(root, 'package-lock.json'))
  if (installed === undefined || wanted === undefined) return false
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    const found = installed[path]
    // Optional packages for other machines are not there, and need not be.
    return path === '' || found?.version === version || (optional === true && found === undefined)
  })
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages
  } catch {
    return undefined
  }
}

function installSystemPrograms(programs) {
  const missing = programs.filter(({ program }) => !hasProgram(program, SYSTEM_DIRECTORIES))
  if (missing.length === 0) return
  const install = ['install', '-y', '--no-install-recommends', ...missing.map((entry) => entry.package)]
  if (process.getuid() === 0 && hasProgram('apt-get')) {
    say(`Installing ${missing.map((entry) => entry.package).join(', ')} …`)
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    if (run('apt-get', ['update', '-qq'], environment) && run('apt-get', install, environment)) return
  }
  for (const { program, without } of missing) say(`${program} is missing: ${without}.`)
  say(`To install it, type:\n  sudo apt-get update && sudo apt-get ${install.join(' ')}`)
}

/** Whether a command worked. Its output goes to stderr, as stdout is for results. */
function run(command, args, environment = process.env) {
  const { status, error } = spawnSync(command, args, { cwd: root, env: environment, stdio: ['ignore', 2, 2] })
  if (error !== undefined) say(`${command}: ${error.message}`)
  return status === 0
}
