// From a fresh clone to answers: installs what is missing, starts the server, deploys a sample function for each
// language through the vendor's own wire format, calls it, and keeps serving.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { AlibabaFcClient, invocationPath } from './alibaba-fc-client.js'
import { carriedNode, fail, hasProgram, root, say, setUp } from './setup.js'

const START_TIMEOUT_MS = 20_000
/** Within this, a signal counts as the one before. */
const SAME_SIGNAL_MS = 300
const SERVICE = 'samples'
/** The fixed key of `anvoke dev`. */
const KEY = {
  accountId: process.env.ANVOKE_ACCOUNT_ID || '1234567890123456',
  accessKeyId: 'anvoke-dev',
  accessKeySecret: 'anvoke-dev-secret',
}
const SAMPLES = [
  { functionName: 'hello-nodejs', runtime: 'nodejs20' },
  { functionName: 'hello-python', runtime: 'python3.10', needs: 'python3' },
]

// Whoever reads the answers may stop, as `head` does; the server goes on.
process.stdout.on('error', () => {})

const listen = process.env.ANVOKE_LISTEN || '127.0.0.1:7400'
const origin = `http://${listen}`
setUp()
await refuseBusyPort()
const server = startServer()
try {
  await waitUntilReady()
  const client = new AlibabaFcClient(origin, KEY)
  await client.ensureService(SERVICE)
  for (const sample of SAMPLES) await show(client, sample)
  showNextCommands()
} catch (error) {
  say(error.message)
  process.exitCode = 1
  server.kill('SIGTERM')
}

/** Asked before the start, so that no other server on the port is taken for this one. */
async function refuseBusyPort() {
  const { hostname, port } = new URL(origin)
  const probe = createServer().listen({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 80) })
  try {
    await once(probe, 'listening')
  } catch (error) {
    fail(
      error.code === 'EADDRINUSE'
        ? `Another program is using ${listen}. Stop it, or choose another port:\n  ANVOKE_LISTEN=127.0.0.1:7500 npm start`
        : `Cannot listen on ${listen}: ${error.message}`,
    )
  }
  probe.close()
  await once(probe, 'close')
}

function startServer() {
  const environment = { ...process.env, ANVOKE_LISTEN: listen, ANVOKE_ACCOUNT_ID: KEY.accountId }
  // The commands printed below are for the fixed key.
  for (const name of Object.keys(environment)) {
    if (/^ANVOKE_ACCESS_KEY_(ID|SECRET)(_FILE)?$/.test(name)) delete environment[name]
  }
  // The launcher's own way with its program: it ends with this process, and can tell a signal that reaches both
  // from a second one. See bin/anvoke.js.
  const child = spawn(carriedNode, [join(root, 'bin', 'anvoke.js'), 'dev'], {
    cwd: root,
    env: { ...environment, ANVOKE_LAUNCHER: String(process.pid) },
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  })
  let handedOnAtMs = -Infinity
  const stop = (signal) => {
    // npm hands on what the terminal has sent here already.
    if (performance.now() - handedOnAtMs < SAME_SIGNAL_MS) return
    handedOnAtMs = performance.now()
    if (child.connected) child.send({ signal })
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stop(signal))
  stopWithNpm(stop)
  child.once('exit', (code) => process.exit(process.exitCode || (code ?? 1)))
  return child
}

/**
 * Hands on the end of npm as a signal: the shell between npm and this process does not pass signals on.
 */
function stopWithNpm(stop) {
  if (process.env.npm_lifecycle_event === undefined) return
  const before = ancestry()
  const watch = setInterval(() => {
    if (ancestry() === before) return
    clearInterval(watch)
    stop('SIGTERM')
  }, 500).unref()
}

/** The ids of the parent and, where that is npm's shell, of npm. */
function ancestry() {
  const parent = process.ppid
  try {
    const [, name, grandparent] = /^\d+ \((.*)\) \S (\d+) /.exec(
      readFileSync(`/proc/${parent}/stat`, 'latin1'),
    )
    return ['sh', 'dash', 'bash'].includes(name) ? `${parent} ${grandparent}` : `${parent}`
  } catch {
    return ''
  }
}

async function waitUntilReady() {
  const deadlineMs = Date.now() + START_TIMEOUT_MS
  for (;;) {
    const response = await fetch(`${origin}/healthz`).catch(() => undefined)
    await response?.arrayBuffer()
    if (response?.ok) return
    if (Date.now() > deadlineMs) throw new Error(`The server was not ready within ${START_TIMEOUT_MS} ms.`)
    await delay(50)
  }
}

async function show(client, { functionName, runtime, needs }) {
  if (needs !== undefined && !hasProgram(needs))
    return print(`${functionName}: left out, ${needs} is missing`)
  await client.deploy(SERVICE, {
    functionName,
    runtime,
    directory: join(root, 'examples', functionName, 'code'),
  })
  const startedAtMs = performance.now()
  const { answer, log, error } = await client.invoke(SERVICE, functionName, '{"name":"Anvoke"}')
  const elapsedMs = Math.round(performance.now() - startedAtMs)
  if (error !== null) throw new Error(`${functionName} failed: ${answer}\n${log}`)
  print(
    `${functionName} (${runtime}), deployed and called through Alibaba Cloud's FC API in ${elapsedMs} ms:`,
  )
  print(indent(answer))
  print(indent(log))
}

function showNextCommands() {
  const path = invocationPath(SERVICE, 'hello-nodejs')
  print(`
Call it again with curl:

  DATE="$(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S GMT')"
  SIGNATURE="$(printf 'POST\\n\\ntext/plain\\n%s\\n${path}' "$DATE" |
    openssl dgst -sha256 -hmac ${KEY.accessKeySecret} -binary | base64)"
  curl ${origin}${path} \\
    -H "Date: $DATE" -H 'Content-Type: text/plain' -H "Authorization: FC ${KEY.accessKeyId}:$SIGNATURE" \\
    -d '{"name":"curl"}'

Or with Alibaba Cloud's own SDK (npm install @alicloud/fc2):

  const FC = require('@alicloud/fc2')
  const client = new FC('${KEY.accountId}', {
    accessKeyID: '${KEY.accessKeyId}',
    accessKeySecret: '${KEY.accessKeySecret}',
    region: 'local',
    endpoint: '${origin}',
  })
  client.invokeFunction('${SERVICE}', 'hello-nodejs', '{"name":"SDK"}').then(({ data }) => console.log(data))

Serving on ${origin} until Ctrl-C.`)
}

function print(text) {
  process.stdout.write(`${text}\n`)
}

function indent(text) {
  return text.trimEnd().replaceAll(/^(?=.)/gm, '  ')
}
