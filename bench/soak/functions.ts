import type { FunctionSettings } from '../fc.ts'
import { functionSource } from '../systems/anvoke.ts'

/** How a call of a function has to end when nobody kills its process. */
export type Ending = 'hello' | 'failure'

/** One function of the load. */
export interface SoakFunction {
  readonly settings: FunctionSettings
  readonly ends: Ending
  /** Share of the calls, relative to the others'. */
  readonly weight: number
}

const node = (functionName: string, source: string): FunctionSettings => ({
  functionName,
  source,
  memorySize: 256,
})
const python = (functionName: string, source: string): FunctionSettings => ({
  functionName,
  source,
  memorySize: 256,
  runtime: 'python3',
})
const hello = functionSource('hello')
const ANSWER = `Buffer.from(JSON.stringify({ message: 'Hello, world!' }))`

/** What functions do in real life, and what they should not. */
export const soakFunctions: readonly SoakFunction[] = [
  { settings: node('node-hello', hello), ends: 'hello', weight: 8 },
  { settings: python('python-hello', functionSource('hello', 'py')), ends: 'hello', weight: 8 },
  {
    settings: node(
      'node-slow',
      `exports.handler = async () => {
  await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 250))
  return ${ANSWER}
}\n`,
    ),
    ends: 'hello',
    weight: 4,
  },
  {
    settings: node(
      'node-writing',
      // Touches nothing but what it made itself, wherever it runs.
      `const { mkdtempSync, rmSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const own = mkdtempSync(join(tmpdir(), 'soak-'))
let written = 0
exports.handler = async () => {
  writeFileSync(join(own, String(written)), Buffer.alloc(1024 * 1024))
  if (written >= 8) rmSync(join(own, String(written - 8)))
  written += 1
  return ${ANSWER}
}\n`,
    ),
    ends: 'hello',
    weight: 3,
  },
  {
    // A process that means to outlive its call.
    settings: node(
      'node-spawning',
      `const { spawn } = require('node:child_process')
exports.handler = async () => {
  const child = spawn('/bin/sleep', ['100000'], { detached: true, stdio: 'ignore' })
  child.on('error', () => {})
  child.unref()
  return ${ANSWER}
}\n`,
    ),
    ends: 'hello',
    weight: 1,
  },
  {
    settings: node('node-failing', `exports.handler = async () => { throw new Error('meant to fail') }\n`),
    ends: 'failure',
    weight: 3,
  },
  {
    settings: python(
      'python-failing',
      `def handler(event, context):\n    raise ValueError("meant to fail")\n`,
    ),
    ends: 'failure',
    weight: 3,
  },
  {
    settings: node('node-exiting', `exports.handler = async () => process.exit(3)\n`),
    ends: 'failure',
    weight: 2,
  },
  {
    settings: python(
      'python-dying',
      `import os\n\n\ndef handler(event, context):\n    os.kill(os.getpid(), 9)\n`,
    ),
    ends: 'failure',
    weight: 2,
  },
  {
    settings: {
      ...node('node-waiting', `exports.handler = () => new Promise(() => setInterval(() => {}, 1000))\n`),
      timeout: 1,
    },
    ends: 'failure',
    weight: 1,
  },
  {
    settings: {
      ...python('python-spinning', `def handler(event, context):\n    while True:\n        pass\n`),
      timeout: 1,
    },
    ends: 'failure',
    weight: 1,
  },
  {
    settings: {
      ...node(
        'node-hoarding',
        `exports.handler = async () => {
  const kept = []
  for (let index = 0; index < 64; index += 1) kept.push(Buffer.alloc(16 * 1024 * 1024, 1))
  return String(kept.length)
}\n`,
      ),
      memorySize: 128,
    },
    ends: 'failure',
    weight: 1,
  },
]
