// What programs in Node.js ordinarily do; prints what of it does not work.
const { execFileSync, fork, spawnSync } = require('node:child_process')
const dns = require('node:dns/promises')
const { once } = require('node:events')
const fs = require('node:fs')
const http = require('node:http')
const net = require('node:net')
const os = require('node:os')
const { Worker } = require('node:worker_threads')
const { gzipSync } = require('node:zlib')
const assert = require('node:assert')

const ACTS = {
  async workers() {
    const worker = new Worker('require("node:worker_threads").parentPort.postMessage(6 * 7)', { eval: true })
    assert.deepStrictEqual(await once(worker, 'message'), [42])
    await worker.terminate()
  },
  async programs() {
    assert.strictEqual(execFileSync('/bin/echo', ['x']).toString(), 'x\n')
    assert.strictEqual(spawnSync('echo x', { shell: true }).status, 0)
    const child = fork('/dev/null', { stdio: 'ignore', detached: true })
    assert.deepStrictEqual(await once(child, 'exit'), [0, null])
  },
  async http() {
    const server = http.createServer((_, response) => response.end('hello')).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const answer = await fetch(`http://127.0.0.1:${server.address().port}/`)
    assert.strictEqual(await answer.text(), 'hello')
    server.closeAllConnections()
    server.close()
  },
  async localSockets() {
    const server = net.createServer((socket) => socket.end('hello')).listen('/tmp/socket')
    await once(server, 'listening')
    assert.strictEqual((await once(net.connect('/tmp/socket'), 'data')).toString(), 'hello')
    server.close()
  },
  async names() {
    assert.ok((await dns.lookup('localhost', { all: true })).length > 0)
  },
  async host() {
    assert.deepStrictEqual(Object.keys(os.networkInterfaces()), ['lo'])
    assert.ok(os.availableParallelism() > 0 && os.freemem() > 0 && os.hostname() !== '')
    os.setPriority(1)
  },
  async files() {
    fs.writeFileSync('/tmp/file', 'x')
    const watcher = fs.watch('/tmp/file')
    watcher.close()
    await fs.promises.cp('/tmp/file', '/tmp/copy')
    assert.strictEqual(gzipSync(await fs.promises.readFile('/tmp/copy')).length > 0, true)
  },
}

const say = (line) => process.stdout.write(`${line}\n`)

async function run() {
  for (const [name, act] of Object.entries(ACTS)) await act().catch((error) => say(`${name} ${error}`))
  say('done')
}
void run()
