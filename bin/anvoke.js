#!/usr/bin/env node
// Plain JavaScript for whatever Node is installed: runs the program on this one when it is new enough, otherwise on
// the one carried as a dependency.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import * as nodeModule from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const OLDEST_NODE_MAJOR = 24

if (Number(process.versions.node.split('.')[0]) >= OLDEST_NODE_MAJOR) {
  followLauncher()
  // Not under /tmp, Node's own default: whoever can write there first could plant code.
  const caches = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  nodeModule.enableCompileCache?.(process.env.NODE_COMPILE_CACHE || join(caches, 'anvoke', 'compiled'))
  const source = new URL('../src/cli/main.ts', import.meta.url)
  const program = existsSync(source) ? source : new URL('../dist/cli/main.js', import.meta.url)
  const { main } = await import(program.href)
  await main(process.argv.slice(2))
} else {
  relaunch()
}

function relaunch() {
  const carried = findCarriedNode()
  if (carried === undefined) {
    process.stderr.write(
      `anvoke: needs Node.js ${OLDEST_NODE_MAJOR} or later; this is ${process.version} on ${process.platform}-${process.arch}.\n` +
        `  The Node.js that comes along with the packages is not installed here.\n` +
        `  Run "npm install" here first (without --omit=optional, on linux-x64 or linux-arm64), or install Node.js ${OLDEST_NODE_MAJOR}+.\n`,
    )
    process.exitCode = 1
    return
  }
  const child = spawn(carried, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, ANVOKE_LAUNCHER: String(process.pid) },
  })
  // By message, not by signal: a terminal and a service manager signal the program as well, and it has to tell a
  // signal that reached it on two ways from a second one.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
    process.on(signal, () => child.connected && child.send({ signal }))
  }
  child.once('error', (error) => {
    process.stderr.write(`anvoke: ${carried} cannot be started: ${error.message}\n`)
    process.exit(1)
  })
  child.once('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

/** Makes this process end with its launcher, `kill -9` included, and get the signals that it gets. */
function followLauncher() {
  if (process.env.ANVOKE_LAUNCHER === undefined) return
  delete process.env.ANVOKE_LAUNCHER
  if (process.channel === undefined) return
  process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'))
  process.on('message', ({ signal }) => {
    // No signal has the number 0: that is how a listener knows a message from a signal of its own.
    if (!process.emit(signal, signal, 0)) process.kill(process.pid, signal)
  })
  process.channel.unref()
}

function findCarriedNode() {
  try {
    const { resolve } = nodeModule.createRequire(import.meta.url)
    return resolve(`node-${process.platform}-${process.arch}/bin/node`)
  } catch {
    return undefined
  }
}
