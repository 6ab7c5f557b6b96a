// The framework's own server (its Express application, body parsers and wrappers) on loopback only: its
// command line would listen on every interface. Usage: node functions-framework.js PORT
import { http } from '@google-cloud/functions-framework'
import { getTestServer } from '@google-cloud/functions-framework/testing'
import echo from '../functions/echo/index.js'
import hello from '../functions/hello/index.js'

const handlers = new Map([
  ['/hello', hello.handler],
  ['/echo', echo.handler],
])

http('bench', async (request, response) => {
  response.send(await handlers.get(request.path)(request.rawBody, {}))
})
getTestServer('bench').listen(Number(process.argv[2]), '127.0.0.1')
