// From a fresh clone to answers: installs what is missing, starts the server, deploys sample functions through every vendor's
// wire format, calls each, then calls one through all of them, and keeps serving. Flags are those of `anvoke dev`.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { AlibabaFcClient, invocationPath } from './alibaba-fc-client.js'
import { HuaweiFunctionGraphClient } from './huawei-functiongraph-client.js'
import { TencentScfClient } from './tencent-scf-client.js'
import { carriedNode, fail, hasProgram, root, say, setUp } from './setup.js'

const START_TIMEOUT_MS = 20_000
/** Within this, a signal counts as the one before. */
const SAME_SIGNAL_MS = 300
const SERVICE = 'samples'
const PROGRAM = join(root, 'bin', 'anvoke.js')
/** The fixed key of `anvoke dev`. */
const KEY = { accessKeyId: 'anvoke-dev', accessKeySecret: 'anvoke-dev-secret' }
const SAMPLES = [
  { functionName: 'hello-nodejs', runtime: 'nodejs20', vendor: 'alibaba' },
  { functionName: 'hello-python', runtime: 'python3.10', vendor: 'alibaba', needs: 'python3' },
  { functionName: 'hello-functiongraph', runtime: 'Python3.10', vendor: 'huawei', needs: 'python3' },
  { functionName: 'hello-scf', runtime: 'Nodejs18.15', vendor: 'tencent' },
]

// Whoever reads the answers may stop, as `head` does; the server goes on.
process.stdout.on('error', () => {})

const flags = process.argv.slice(2)
if (flags.length > 0 && !flags[0].startsWith('-'))
  fail(`npm kept the flags for itself. Put -- before them:\n  npm start -- --listen ${flags[0]}`)
const environment = environmentOfServer()
setUp()
if (flags.some((flag) => flag === '--help' || flag === '-h')) process.exit(run(['dev', '--help']).status ?? 1)
const { listen, accountId, region } = readSettings()
const endpoint = await findEndpoint()
const origin = `http://${endpoint}`
let isStopping = false
const server = startServer()
if (await isReady()) {
  const apis = connect()
  for (const { vendor, ...sample } of SAMPLES) await tryOut(apis[vendor], sample)
  await callThroughAll(apis, 'hello-nodejs')
  if (!isStopping) showNextCommands()
} else {
  say(`The server was not ready within ${START_TIMEOUT_MS} ms.`)
  process.exitCode = 1
  server.kill('SIGTERM')
}

function environmentOfServer() {
  const isKey = (name) => /^ANVOKE_ACCESS_KEY_(ID|SECRET)(_FILE)?$/.test(name)
  const kept = Object.entries(process.env).filter(([name]) => !isKey(name))
  // The commands printed below are for the fixed key, whatever a file of settings says.
  return {
    ...Object.fromEntries(kept),
    ANVOKE_ACCESS_KEY_ID: KEY.accessKeyId,
    ANVOKE_ACCESS_KEY_SECRET: KEY.accessKeySecret,
  }
}

/** What flags, variables and file of settings come to. Ends with the server's own words where that is nothing. */
function readSettings() {
  const { status, stdout } = run(['config', 'print', '--json', ...flags], 'pipe')
  if (status !== 0) process.exit(status ?? 1)
  const { settings } = JSON.parse(stdout)
  return {
    listen: settings.listen.value,
    accountId: settings.accountId.value,
    region: settings.region.value,
  }
}

function run(args, stdout = 'inherit') {
  return spawnSync(carriedNode, [PROGRAM, ...args], {
    cwd: root,
    env: environment,
    stdio: ['ignore', stdout, 'inherit'],
    encoding: 'utf8',
  })
}

/** The address to serve on. Tried before the start, so that no other server on the port is taken for this one. */
async function findEndpoint() {
  const [, host, port] = /^(.*):(\d+)$/.exec(listen)
  const probe = createServer().listen({ host: host.replace(/^\[|\]$/g, ''), port: Number(port) })
  try {
    await once(probe, 'listening')
  } catch (error) {
    // What else can be wrong with an address, the server says itself.
    if (error.code !== 'EADDRINUSE') return listen
    fail(
      `Another program is using ${listen}. Stop it, or choose another port:\n  npm start -- --listen 127.0.0.1:7500`,
    )
  }
  const chosen = `${host}:${probe.address().port}`
  probe.close()
  await once(probe, 'close')
  return chosen
}

function startServer() {
  // The launcher's own way with its program: it ends with this process, and can tell a signal that reaches both
  // from a second one. See bin/anvoke.js.
  const child = spawn(carriedNode, [PROGRAM, 'dev', ...flags, '--listen', endpoint], {
    cwd: root,
    env: { ...environment, ANVOKE_LAUNCHER: String(process.pid) },
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  })
  let handedOnAtMs = -Infinity
  const stop = (signal) => {
    // npm hands on what the terminal has sent here already.
    if (performance.now() - handedOnAtMs < SAME_SIGNAL_MS) return
    handedOnAtMs = performance.now()
    isStopping = true
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

async function isReady() {
  const deadlineMs = Date.now() + START_TIMEOUT_MS
  while (Date.now() < deadlineMs) {
    const response = await fetch(`${origin}/healthz`).catch(() => undefined)
    await response?.arrayBuffer()
    if (response?.ok) return true
    await delay(50)
  }
  return false
}

/** A client for each vendor, and the name of what it speaks. */
function connect() {
  return {
    alibaba: { name: "Alibaba Cloud's FC API", client: new AlibabaFcClient(origin, { ...KEY, accountId }) },
    huawei: {
      name: "Huawei Cloud's FunctionGraph API",
      client: new HuaweiFunctionGraphClient(origin, KEY, region),
    },
    tencent: { name: "Tencent Cloud's SCF API 3.0", client: new TencentScfClient(origin, KEY) },
  }
}

/** Deploys and calls a sample, and says how that went; one that does not work keeps neither the others nor the server. */
async function tryOut({ name, client }, { functionName, runtime, needs }) {
  if (needs !== undefined && !hasProgram(needs))
    return print(`\n${functionName}: left out, ${needs} is missing`)
  const directory = join(root, 'examples', functionName, 'code')
  try {
    await client.deploy(SERVICE, { functionName, runtime, directory })
    const startedAtMs = performance.now()
    const { answer, log, error } = await client.invoke(SERVICE, functionName, '{"name":"Anvoke"}')
    const elapsedMs = Math.round(performance.now() - startedAtMs)
    const ending = error === null ? 'deployed and called' : 'FAILED when it was called'
    print(`
${functionName} (${runtime}), ${ending} through ${name} in ${elapsedMs} ms. Its answer:
${indent(answer)}
The end of its log:
${indent(log)}`)
  } catch (error) {
    if (!isStopping)
      print(`\n${functionName} (${runtime}) could NOT be deployed and called: ${error.message}`)
  }
}

/** Any API calls any function, whichever it was made for. */
async function callThroughAll({ alibaba, huawei, tencent }, functionName) {
  const calls = [
    ...[alibaba, huawei, tencent].map(({ name, client }) => [
      name,
      (event) => client.invoke(SERVICE, functionName, event),
    ]),
    ["Tencent Cloud's legacy API 2.0", (event) => tencent.client.invokeLegacy(SERVICE, functionName, event)],
  ]
  print(`\nThe same function, ${functionName}, called through every API:`)
  for (const [name, call] of calls) {
    if (isStopping) return
    const { answer } = await call(JSON.stringify({ name })).catch((error) => ({
      answer: `FAILED: ${error.message}`,
    }))
    print(`  ${name.padEnd(32)} ${answer}`)
  }
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
  const client = new FC('${accountId}', {
    accessKeyID: '${KEY.accessKeyId}',
    accessKeySecret: '${KEY.accessKeySecret}',
    region: 'local',
    endpoint: '${origin}',
  })
  client.invokeFunction('${SERVICE}', 'hello-nodejs', '{"name":"SDK"}').then(({ data }) => console.log(data))

Logs of functions are kept in files; the line "Logs" above says where.

Serving on ${origin} until Ctrl-C.`)
}

function print(text) {
  process.stdout.write(`${text}\n`)
}

function indent(text) {
  return text.trimEnd().replaceAll(/^(?=.)/gm, '  ')
}
