// The yardstick: the least a Node server can do around a handler. No routing beyond one look-up, no
// authentication, no logs. Usage: node plain.js PORT
import { createServer } from 'node:http'
import echo from '../functions/echo/index.js'
import hello from '../functions/hello/index.js'

const handlers = new Map([
  ['/hello', hello.handler],
  ['/echo', echo.handler],
])

const server = createServer((request, response) => {
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    const event = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)
    answer(handlers.get(request.url), event, response).catch((error) => response.destroy(error))
  })
})
server.listen(Number(process.argv[2]), '127.0.0.1')

async function answer(handler, event, response) {
  const result = await handler(event, {})
  response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': result.length })
  response.end(result)
}
