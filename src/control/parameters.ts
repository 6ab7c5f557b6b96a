import * as z from 'zod/mini'
import { wholeNumber } from '../config/fields.ts'
import { TASK_ENDINGS, type TaskRecord } from '../store/task-queue.ts'
import { ControlError } from './errors.ts'

/** Items of one page, and tasks of one step of a change: others wait for it. */
export const MAX_ITEMS = 1000
const USUAL_ITEMS = 100
/** Deliveries of one page that comes with what would have been told: up to 1 MiB each. */
const MAX_BODIES = 8
/** Moments are told in up to 15 digits: until the year 33658. */
const MAX_MOMENT_MS = 999_999_999_999_999
const MAX_RUNS = 10_000
const MAX_TASKS = 100_000_000

const STATUSES: ReadonlySet<string> = new Set<TaskRecord['status']>(['waiting', 'running', ...TASK_ENDINGS])

const text = z.string().check(z.minLength(1), z.maxLength(256))
const account = z.optional(z.string().check(z.regex(/^\d{1,32}$/, 'is not up to 32 digits')))
const limit = z._default(wholeNumber(1, MAX_ITEMS), USUAL_ITEMS)
const moment = z.optional(wholeNumber(0, MAX_MOMENT_MS))
const yes = z.optional(z.literal('true', 'is not true'))

const statuses = z.pipe(
  z.string(),
  z.transform((given, context) => {
    const words = given.split(',')
    if (words.every((word): word is TaskRecord['status'] => STATUSES.has(word))) return words
    const message = `is not a list, by commas, of ${[...STATUSES].join(', ')}`
    context.issues.push({ code: 'custom', message, input: given })
    return z.NEVER
  }),
)

/** What may stand in the query of each kind of request; texts, as queries hold them. */
export const QUERIES = {
  one: z.strictObject({ account }),
  nothing: z.strictObject({}),
  queues: z.strictObject({
    account,
    namespace: z.optional(text),
    after: z.optional(z.string().check(z.regex(/^[^/]{1,256}\/[^/]{1,256}$/, 'is no `next` of a page'))),
    limit,
  }),
  task: z.strictObject({ account, event: yes }),
  tasks: z.strictObject({
    account,
    status: z.optional(statuses),
    endedFromMs: moment,
    endedToMs: moment,
    order: z.optional(z.enum(['newest', 'oldest'], 'is neither newest nor oldest')),
    after: z.optional(z.string().check(z.regex(/^\d{1,16}\.\d{1,16}$/, 'is no `next` of a page'))),
    limit,
  }),
  deliveries: z
    .strictObject({
      account,
      namespace: z.optional(text),
      function: z.optional(text),
      after: z.optional(z.string().check(z.regex(/^\d{1,16}$/, 'is no `next` of a page'))),
      limit: z.optional(wholeNumber(1, MAX_ITEMS)),
      body: yes,
    })
    .check(
      z.refine(({ body, limit: most = 1 }) => body === undefined || most <= MAX_BODIES, {
        path: ['limit'],
        error: `is more than ${MAX_BODIES} with bodies`,
      }),
    ),
} as const

/** @returns How many deliveries a page has. */
export function deliveriesOf({ limit: asked, body }: z.output<typeof QUERIES.deliveries>): number {
  return asked ?? (body === undefined ? USUAL_ITEMS : MAX_BODIES)
}

function wholeFrom(min: number, max: number): z.ZodMiniNumber {
  const expected = `is not a whole number from ${min} to ${max}`
  return z.number(expected).check(z.int(expected), z.minimum(min, expected), z.maximum(max, expected))
}

/** What may stand in the body of each kind of request. */
export const BODIES = {
  change: z.strictObject({
    isPaused: z.optional(z.boolean('is neither true nor false')),
    maxRuns: z.optional(z.nullable(wholeFrom(1, MAX_RUNS))),
    maxTasks: z.optional(z.nullable(wholeFrom(0, MAX_TASKS))),
  }),
  step: z.strictObject({ limit: z._default(wholeFrom(1, MAX_ITEMS), USUAL_ITEMS) }),
  redrive: z.strictObject({
    limit: z._default(wholeFrom(1, MAX_ITEMS), USUAL_ITEMS),
    requestIds: z.optional(z.array(text).check(z.minLength(1), z.maxLength(MAX_ITEMS))),
    endedFromMs: z.optional(wholeFrom(0, MAX_MOMENT_MS)),
    endedToMs: z.optional(wholeFrom(0, MAX_MOMENT_MS)),
  }),
} as const

/** @throws {ControlError} `caller/malformed`, with what is wrong in words */
export function parse<Schema extends z.ZodMiniType>(
  schema: Schema,
  value: unknown,
  where: 'query' | 'body',
): z.output<Schema> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  if (issue?.code === 'unrecognized_keys')
    throw malformed(`the ${where} has ${issue.keys.map(quoted).join(', ')}, which means nothing here`)
  const path = issue?.path.join('.') ?? ''
  throw malformed(`${path === '' ? `the ${where}` : quoted(path)} ${issue?.message ?? 'cannot be used'}`)
}

function malformed(message: string): ControlError {
  return new ControlError('caller/malformed', message)
}

function quoted(name: string): string {
  return `'${name.slice(0, 100)}'`
}
