import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Suite } from './clients.ts'

let suite: Suite

beforeAll(async () => {
  suite = await Suite.start('cells')
  await suite.deploy('neighbour', {
    'index.js': `const fs = require('fs')
      exports.handler = async () => { fs.writeFileSync('/tmp/note', 'mine'); return fs.readFileSync('/tmp/note', 'utf8') }`,
    'secret.txt': 'of the neighbour',
  })
  expect((await suite.invoke('neighbour')).text).toBe('mine')
  // Runs what the event says: each line is JavaScript whose value, or the code of its error, is returned.
  await suite.deploy(
    'probe',
    `const attempt = async (source) => {
      try { return await eval('(async () => ' + source + ')()') } catch (error) { return 'refused: ' + (error.code ?? error.name) }
    }
    globalThis.fs = require('fs'); globalThis.net = require('net');
    globalThis.connect = (port, host) => new Promise((resolve, reject) => {
      const socket = net.connect(port, host, () => { socket.destroy(); resolve('connected') })
      socket.once('error', reject)
    })
    exports.handler = async (event) => Promise.all(JSON.parse(event).map(attempt))`,
  )
})

afterAll(() => suite?.server.close())

async function attempt(...sources: string[]): Promise<unknown[]> {
  const answer = await suite.invoke('probe', { event: JSON.stringify(sources) })
  expect([answer.errorType, answer.text]).toEqual([undefined, answer.text])
  return answer.json
}

describe('a function in a sandbox with namespaces', () => {
  beforeEach((context) => {
    context.skip(!suite.isolates, 'the host has no sandbox with namespaces')
  })

  test('cannot see the data of the server', async () => {
    const { dataDir } = suite.server
    const results = await attempt(
      `fs.readdirSync(${JSON.stringify(dataDir)})`,
      `fs.readFileSync(${JSON.stringify(`${dataDir}/anvoke.db`)})`,
      `fs.readFileSync(${JSON.stringify(`${dataDir}/credentials.json`)})`,
      `fs.readdirSync(${JSON.stringify(`${dataDir}/logs`)})`,
      `fs.readdirSync(${JSON.stringify(`${dataDir}/packages`)})`,
    )
    expect(results).toEqual(Array(5).fill('refused: ENOENT'))
  })

  test('sees its own code alone, and cannot change it', async () => {
    const [own, found, written, made] = await attempt(
      `fs.readdirSync('/code')`,
      `fs.readdirSync('/', { recursive: true, withFileTypes: true }).filter((e) => e.name === 'secret.txt').length`,
      `fs.writeFileSync('/code/index.js', 'changed')`,
      `fs.mkdirSync('/code/more')`,
    )
    expect(own).toEqual(['index.js'])
    expect([0, 'refused: EACCES']).toContain(found)
    expect([written, made]).toEqual([
      expect.stringMatching(/^refused: (?:EROFS|EACCES)$/),
      expect.stringMatching(/^refused: (?:EROFS|EACCES)$/),
    ])
  })

  test('has a /tmp of its own', async () => {
    const [note, written] = await attempt(
      `fs.existsSync('/tmp/note')`,
      `(fs.writeFileSync('/tmp/other', 'x'), fs.readFileSync('/tmp/other', 'utf8'))`,
    )
    expect([note, written]).toEqual([false, 'x'])
    expect((await suite.invoke('neighbour')).text).toBe('mine')
  })

  test('cannot write anywhere else', async () => {
    const places = ['/', '/etc', '/usr', '/usr/bin', '/opt', '/var', '/proc/sys/kernel', '/anvoke']
    const results = await attempt(...places.map((place) => `fs.writeFileSync('${place}/planted', 'x')`))
    expect(results).toEqual(places.map(() => expect.stringMatching(/^refused: E/)))
  })

  test('reaches neither the server nor where clouds give out credentials', async () => {
    const results = await attempt(
      `connect(${suite.server.port}, '127.0.0.1')`,
      `connect(${suite.server.port}, '10.0.2.2')`,
      `connect(80, '169.254.169.254')`,
    )
    expect(results).toEqual(
      results.map(() => expect.stringMatching(/^refused: (?:ECONN|ENET|EHOST|EAI|ENOTFOUND|EPERM|EACCES)/)),
    )
  })

  test('sees no process but its own, and is nobody on the host', async () => {
    const [processes, killed, uid] = await attempt(
      `fs.readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name)).map((pid) => fs.readFileSync('/proc/' + pid + '/cmdline', 'utf8'))`,
      `process.kill(${suite.server.pid}, 0)`,
      `process.getuid()`,
    )
    expect(processes).toSatisfy((list: string[]) => list.every((line) => !line.includes('anvoke.js')))
    expect(killed).toBe('refused: ESRCH')
    expect(uid).not.toBe(0)
    expect((await fetch(`${suite.server.origin}/healthz`)).status).toBe(200)
  })

  test('cannot fill more of /tmp than it was given', async () => {
    const [filled] = await attempt(
      `(() => {
        const block = Buffer.alloc(16 * 1024 * 1024)
        for (let i = 0; i < 40; i++) fs.appendFileSync('/tmp/big', block)
        return 'filled'
      })()`,
    )
    expect(filled).toBe('refused: ENOSPC')
  })
})
