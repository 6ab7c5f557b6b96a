// A tour of the Alibaba Function Compute API through the vendor's SDK: a Python function, the ways a call can fail,
// asynchronous calls, versions and an alias. Start `npm start` in another terminal, then: node examples/tour.js
import { buffer } from 'node:stream/consumers'
import FC from '@alicloud/fc2'
import { ZipFile } from 'yazl'

const endpoint = `http://${process.env.ANVOKE_LISTEN ?? '127.0.0.1:7400'}`
const client = new FC('1234567890123456', {
  endpoint,
  accessKeyID: 'anvoke-dev',
  accessKeySecret: 'anvoke-dev-secret',
  region: 'local',
})
const SERVICE = `tour-${Date.now()}`

const zipOf = async (name, source) => {
  const zip = new ZipFile()
  zip.addBuffer(Buffer.from(source), name)
  zip.end()
  return (await buffer(zip.outputStream)).toString('base64')
}
const deploy = async (functionName, runtime, file, source) =>
  client.createFunction(SERVICE, {
    functionName,
    runtime,
    handler: 'index.handler',
    memorySize: 128,
    timeout: 2,
    code: { zipFile: await zipOf(file, source) },
  })
const show = (title, { headers, data }) => {
  const text = String(typeof data === 'string' ? data : (data.errorMessage ?? JSON.stringify(data)))
  const outcome = headers['x-fc-error-type'] ?? 'returned'
  console.log(`${title.padEnd(22)} ${outcome.padEnd(24)} ${text.replaceAll(/\s+/g, ' ')}`)
}

await client.createService(SERVICE).catch((error) => {
  if (error.code !== 'ECONNREFUSED') throw error
  console.error(
    `No server answers at ${endpoint}: start one with \`npm start\`, or set ANVOKE_LISTEN to where it listens.`,
  )
  process.exit(1)
})

// Python: bytes in, and what json.dumps makes of the result out.
await deploy(
  'python',
  'python3.10',
  'index.py',
  `import json
def handler(event, context):
    return {"length": len(event), "function": context.function.name}`,
)
show('python', await client.invokeFunction(SERVICE, 'python', 'four'))

// Failures are answers: HTTP 200 with X-Fc-Error-Type. The next call finds a fresh instance.
await deploy(
  'fails',
  'nodejs20',
  'index.js',
  `exports.handler = (event, context, callback) => {
  switch (event.toString()) {
    case 'handled': return callback(new Error('reported'))
    case 'unhandled': throw new TypeError('thrown')
    case 'timeout': for (;;) {}
    case 'exit': return process.exit(3)
    default: return callback(null, 'fine')
  }
}`,
)
for (const kind of ['handled', 'unhandled', 'timeout', 'exit', 'nothing'])
  show(kind, await client.invokeFunction(SERVICE, 'fails', kind))

// Asynchronous: 202 once the call is on the disk. It survives kill -9, and failures are repeated 3 times by default.
const accepted = await client.invokeFunction(SERVICE, 'python', 'later', {
  'X-Fc-Invocation-Type': 'Async',
})
console.log(`${'async'.padEnd(22)} accepted                 ${accepted.headers['x-fc-request-id']}`)

// A version is a snapshot of the service, an alias a name for it that can move, or be shared out by weight.
await client.publishVersion(SERVICE, 'first')
await client.createAlias(SERVICE, 'prod', '1')
await client.updateFunction(SERVICE, 'fails', {
  code: {
    zipFile: await zipOf(
      'index.js',
      "exports.handler = (event, context, callback) => callback(null, 'new code')",
    ),
  },
})
show('latest', await client.invokeFunction(SERVICE, 'fails', ''))
show('through the alias', await client.invokeFunction(SERVICE, 'fails', 'nothing', {}, 'prod'))
await client.publishVersion(SERVICE, 'second')
await client.updateAlias(SERVICE, 'prod', '2')
show('after the alias moved', await client.invokeFunction(SERVICE, 'fails', '', {}, 'prod'))
