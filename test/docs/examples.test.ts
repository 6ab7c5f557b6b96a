import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'

const TOUR = resolve(import.meta.dirname, '../../examples/tour.js')

test('the tour says how to start a server where none answers', async () => {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  const endpoint = `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  probe.close()
  await once(probe, 'close')
  const tour = spawn(process.execPath, [TOUR], {
    env: { ...process.env, ANVOKE_LISTEN: endpoint },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const [stderr, [code]] = await Promise.all([text(tour.stderr), once(tour, 'close')])
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: `No server answers at http://${endpoint}: start one with \`npm start\`, or set ANVOKE_LISTEN to where it listens.\n`,
  })
})
