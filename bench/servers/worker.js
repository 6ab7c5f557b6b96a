// The worker that workerd runs: bytes in, bytes out, around the same handlers.
import echo from './echo'
import hello from './hello'

const handlers = new Map([
  ['/hello', hello.handler],
  ['/echo', echo.handler],
])

export default {
  async fetch(request) {
    const handler = handlers.get(new URL(request.url).pathname)
    const result = await handler(Buffer.from(await request.arrayBuffer()), {})
    return new Response(result, { headers: { 'Content-Type': 'application/octet-stream' } })
  },
}
