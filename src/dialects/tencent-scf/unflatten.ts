import { ScfError } from './errors.ts'
import type { JsonObject } from './operation.ts'

/** Deepest nesting of parameters. The vendor's models have below eight. */
export const MAX_DEPTH = 32

/** Greatest index in a list. */
const MAX_INDEX = 9999

/** A parameter on its way into the objects and lists that its name leads through. */
interface Entry {
  readonly key: string
  readonly value: unknown
}

type Node = Map<string, Node | Leaf>
interface Leaf {
  readonly value: unknown
}

/**
 * Puts objects and lists together again that were flattened for a form: `Filters.0.Name=Runtime` is an object in a list
 * in an object. An object all of whose names are indexes is a list.
 *
 * @throws {ScfError} `InvalidParameter` when names contradict each other (`a` and `a.b`) or nest too deep
 */
export function unflatten(entries: readonly Entry[]): JsonObject {
  if (entries.every(isFlat)) return flat(entries)
  const root: Node = new Map()
  for (const { key, value } of entries) place(root, key, { value })
  return objectOf(root)
}

/** Most requests have nothing to put together. Assigned, `__proto__` would be no member. */
function isFlat({ key }: Entry): boolean {
  return !key.includes('.') && key !== '__proto__'
}

function flat(entries: readonly Entry[]): JsonObject {
  const members: Record<string, unknown> = {}
  for (const { key, value } of entries) {
    if (Object.hasOwn(members, key)) throw contradiction()
    members[key] = value
  }
  return members
}

/** @throws {ScfError} `InvalidParameter` for a value that nests deeper than {@link MAX_DEPTH}. */
export function requireShallow(value: unknown, depth = 0): void {
  if (typeof value !== 'object' || value === null) return
  if (depth === MAX_DEPTH) throw tooDeep()
  for (const member of Object.values(value)) requireShallow(member, depth + 1)
}

function place(root: Node, name: string, leaf: Leaf): void {
  const steps = name.split('.', MAX_DEPTH + 1)
  const last = steps.pop()
  if (last === undefined || steps.length >= MAX_DEPTH) throw tooDeep()
  let node = root
  for (const step of steps) {
    let next = node.get(step)
    if (next === undefined) node.set(step, (next = new Map()))
    if (!(next instanceof Map)) throw contradiction()
    node = next
  }
  if (node.has(last)) throw contradiction()
  node.set(last, leaf)
}

function objectOf(node: Node): JsonObject {
  const members: Record<string, unknown> = {}
  for (const [name, child] of node) {
    const value = valueOf(child)
    // Assigned, it would be no member.
    if (name === '__proto__')
      Object.defineProperty(members, name, { value, enumerable: true, writable: true, configurable: true })
    else members[name] = value
  }
  return members
}

function valueOf(child: Node | Leaf): unknown {
  if (!(child instanceof Map)) return child.value
  const indexes = [...child.keys()]
  if (!indexes.every((name) => /^(?:0|[1-9]\d{0,3})$/.test(name) && Number(name) <= MAX_INDEX))
    return objectOf(child)
  return [...child].toSorted(([a], [b]) => Number(a) - Number(b)).map(([, member]) => valueOf(member))
}

function contradiction(): ScfError {
  return new ScfError('InvalidParameter', 'the names of two parameters contradict each other')
}

function tooDeep(): ScfError {
  return new ScfError('InvalidParameter', `the parameters nest deeper than ${MAX_DEPTH} levels`)
}
