#!/usr/bin/env node
// Plain JavaScript for whatever Node is installed: runs the program on this one when it is new enough, otherwise on
// the one carried as a dependency.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import * as nodeModule from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { isatty } from 'node:tty'
import { fileURLToPath } from 'node:url'

const OLDEST_NODE_MAJOR = 24

if (Number(process.versions.node.split('.')[0]) >= OLDEST_NODE_MAJOR) {
  dieWithLauncher()
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
        `  The Node.js that comes along as an optional dependency is not installed here.\n` +
        `  Install Node.js ${OLDEST_NODE_MAJOR}+, or install again without --omit=optional on linux-x64 or linux-arm64.\n`,
    )
    process.exitCode = 1
    return
  }
  // The IPC channel carries no messages: it tells the program when this process is gone.
  const child = spawn(carried, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, ANVOKE_LAUNCHER: String(process.pid) },
  })
  // A terminal signals the whole group; handing these on as well would count as the second one.
  const onTerminal = [0, 1, 2].some((fd) => isatty(fd))
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2']) {
    const sentToGroup = onTerminal && ['SIGINT', 'SIGHUP', 'SIGQUIT'].includes(signal)
    process.on(signal, () => sentToGroup || child.kill(signal))
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

/** Killing a launcher, by `kill -9` too, has to kill the program it stands for, at once and without a drain. */
function dieWithLauncher() {
  if (process.env.ANVOKE_LAUNCHER === undefined) return
  delete process.env.ANVOKE_LAUNCHER
  if (process.channel === undefined) return
  process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'))
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
