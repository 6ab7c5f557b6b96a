import { expect } from 'vitest'
import { F, functionBody, PROJECT, urnOf, type Harness, type TestReply } from './harness.ts'

export const P = `/v2/${PROJECT}`
export const HELLO = urnOf('hello')

/** A function's path without a qualifier: what deletes all of it. */
export const WHOLE = HELLO.replace(/:latest$/, '')

export interface ControlPlane {
  readonly server: Harness
  get(path: string): Promise<TestReply>
  post(path: string, body?: unknown): Promise<TestReply>
  put(path: string, body?: unknown): Promise<TestReply>
  delete(path: string, body?: unknown): Promise<TestReply>
  /** Makes a function of the package `default`. */
  make(name: string, more?: Readonly<Record<string, unknown>>): Promise<TestReply>
}

export function controlPlane(server: Harness): ControlPlane {
  const send = (method: string) => (path: string, body?: unknown) => server.send({ method, path, body })
  return {
    server,
    get: send('GET'),
    post: send('POST'),
    put: send('PUT'),
    delete: send('DELETE'),
    make: async (name, more) => {
      const reply = await send('POST')(F, functionBody(name, more))
      expect([reply.status, reply.text]).toEqual([200, expect.any(String)])
      return reply
    },
  }
}

const KINDS = [
  ...(['namespace', 'function', 'version', 'alias', 'asyncConfig', 'scaling', 'provision'] as const),
  ...(['tags', 'trigger', 'layer', 'document'] as const),
]

/** Removes all definitions, so that a server can be used again. */
export async function clear({ catalogue }: Harness): Promise<void> {
  await catalogue.change((draft) => {
    for (const kind of KINDS) for (const { key } of draft.list(kind, '')) draft.delete(kind, key)
  })
}

/** Everything that is defined, with its revisions. */
export function definitionsOf({ catalogue }: Harness): unknown {
  return KINDS.map((kind) => catalogue.list(kind, ''))
}

/** The status and the error code of a refusal. */
export function refusal({ status, code }: TestReply): readonly [number, unknown] {
  return [status, code]
}

/** A member of an answer that is a text. */
export function textOf(json: Readonly<Record<string, unknown>>, member: string): string {
  const value = json[member]
  if (typeof value !== 'string') throw new TypeError(`the answer has no text '${member}'`)
  return value
}

/** One member of each entry of a list in an answer. */
export function pluck(list: unknown, member: string): unknown[] {
  if (!Array.isArray(list)) throw new TypeError('the answer has no such list')
  return list.map((entry: Readonly<Record<string, unknown>>) => entry[member])
}
