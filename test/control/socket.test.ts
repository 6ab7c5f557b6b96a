import { existsSync, statSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { listenIn } from '../../src/control/socket.ts'

let dir: string
let server: Server

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'socket-'))
  server = createServer()
})
afterEach(async () => {
  server.close()
  await rm(dir, { recursive: true })
})

test('a socket is listened on where nobody else may enter, before it has its mode and its name', async () => {
  let seen: unknown
  server.once('listening', () => {
    const { mode } = statSync(join(dir, '.control-new'))
    seen = { mode: mode & 0o777, isNamed: existsSync(join(dir, 'control.sock')) }
  })
  const socket = await listenIn(dir, server)
  expect(seen).toEqual({ mode: 0o700, isNamed: false })
  server.close()
  await socket.remove()
  expect(await readdir(dir)).toEqual([])
})

test('nothing is left of a socket that could not be listened on', async () => {
  server.listen(0, '127.0.0.1')
  await expect(listenIn(dir, server)).rejects.toMatchObject({ code: 'ERR_SERVER_ALREADY_LISTEN' })
  expect(await readdir(dir)).toEqual([])
})
