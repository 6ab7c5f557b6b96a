import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createFcClient, type Credentials, type FcClient } from '../fc.ts'
import { inspectable } from '../garbage.ts'
import { freePort, startChild } from '../process.ts'
import type { FunctionName } from '../workloads.ts'
import { waitUntilReady, type RunningServer, type Server, type SystemName } from './system.ts'

/** The checkout that this file is part of. */
export const ownCheckout = fileURLToPath(new URL('../..', import.meta.url))
const service = 'bench'

/** Value of `instanceConcurrency` in the row "anvoke-16". */
export const instanceConcurrency = 16

/** Anvoke with what the special phases need besides the common contract. */
export interface RunningAnvoke extends RunningServer {
  readonly client: FcClient
  /** FC service that all functions of the benchmark live in. */
  readonly service: string
  /** `http://host:port` */
  readonly origin: string
  readonly credentials: Credentials
  readonly dataDir: string
}

/** How a server is started, where it is not as a user does. */
export interface AnvokeSettings {
  /** Prepared for garbage.ts; default false. */
  readonly inspected?: boolean
  /** Flags of `anvoke serve`; default none. */
  readonly flags?: readonly string[]
  /** Where everything is kept: an existing directory. Default: a new, empty one. */
  readonly dataDir?: string
}

/** The server program, whose start gives more than the common contract asks for. */
export interface AnvokeServer extends Server {
  start(signal: AbortSignal, settings?: AnvokeSettings): Promise<RunningAnvoke>
}

/** The source of a function, the same file that the other systems load; Python has "hello" alone. */
export function functionSource(name: FunctionName, language: 'js' | 'py' = 'js'): string {
  return readFileSync(new URL(`../functions/${name}/index.${language}`, import.meta.url), 'utf8')
}

/**
 * `anvoke serve` as a user starts it: defaults, so signatures are checked and logs and accounting are on;
 * driven through its FC 2.0 API only. Where no data directory is given, a start gets an empty one below `directory`.
 *
 * @param checkout Whose program is started. Default: that of this checkout.
 */
export function createAnvoke(directory: string, checkout = ownCheckout): AnvokeServer {
  const launcher = join(checkout, 'bin', 'anvoke.js')
  return { name: 'anvoke', systems: ['anvoke', 'anvoke-16'], start }

  async function start(signal: AbortSignal, settings: AnvokeSettings = {}): Promise<RunningAnvoke> {
    const port = await freePort()
    const origin = `http://127.0.0.1:${port}`
    const data = settings.dataDir ?? mkdtempSync(join(directory, 'data-'))
    const credentials = {
      accountId: '1234567890123456',
      accessKeyId: `bench${randomBytes(6).toString('hex')}`,
      accessKeySecret: randomBytes(24).toString('base64url'),
    }
    const { inspected = false, flags = [] } = settings
    const program = [...(inspected ? inspectable : []), launcher, 'serve']
    const args = [...program, '--listen', `127.0.0.1:${port}`, '--data', data, ...flags]
    const child = await startChild('anvoke', process.execPath, args, {
      ANVOKE_ACCESS_KEY_ID: credentials.accessKeyId,
      ANVOKE_ACCESS_KEY_SECRET: credentials.accessKeySecret,
      ANVOKE_ACCOUNT_ID: credentials.accountId,
    })
    const readyMs = await waitUntilReady(child, { url: `${origin}/healthz`, method: 'GET' }, signal)
    const client = createFcClient(origin, credentials)
    return {
      child,
      readyMs,
      client,
      service,
      origin,
      credentials,
      dataDir: data,
      async prepare() {
        await client.createService(service)
        for (const name of ['hello', 'echo'] as const) {
          const source = functionSource(name)
          await client.createFunction(service, { functionName: functionName('anvoke', name), source })
          await client.createFunction(service, {
            functionName: functionName('anvoke-16', name),
            instanceConcurrency,
            source,
          })
        }
      },
      target(system, workload) {
        const name = functionName(system, workload.function)
        return { url: client.invokeUrl(service, name), headers: client.invokeHeaders(service, name) }
      },
    }
  }
}

function functionName(system: SystemName, name: FunctionName): string {
  return system === 'anvoke-16' ? `${name}-16` : name
}
