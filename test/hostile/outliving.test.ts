import { expect, test } from 'vitest'
import { eventually, pidsWith, uniqueSleep } from '../sandbox/harness.ts'
import {
  describeHostile,
  LANGUAGES,
  pythonIn,
  type Attacker,
  type AttackLanguage,
  type Ground,
  type Source,
} from './harness.ts'

/** Leaves three kinds of processes behind, each with the mark on its command line, that do what they can to stay. */
const LEAVES = `
import time
def stay(mark, *steps):
    if os.fork() > 0: return
    for step in steps: step()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1): signal.signal(number, signal.SIG_IGN)
    libc.prctl(1, 0, 0, 0, 0)
    null = os.open('/dev/null', os.O_RDWR)
    for descriptor in range(3): os.dup2(null, descriptor)
    os.execve('/usr/bin/sleep', ['sleep', mark], {})
def again():
    if os.fork() > 0: os._exit(0)
def leave(mark):
    stay(mark)
    stay(mark, os.setsid)
    stay(mark, os.setsid, again)
`
const KINDS = 3

/** The same in JavaScript, by programs of the host. */
const LEAVES_NODE = `
const stays = 'trap "" TERM HUP INT USR1; exec sleep ' + event
spawn('/bin/sh', ['-c', stays], { stdio: 'ignore' }).unref()
spawn('/bin/sh', ['-c', stays], { stdio: 'ignore', detached: true }).unref()
spawn('/bin/sh', ['-c', '(' + stays + ') &'], { stdio: 'ignore', detached: true }).unref()
const left = async () => { while (fs.readdirSync('/proc').filter((pid) => tried(() => fs.readFileSync('/proc/' + pid + '/cmdline', 'latin1')).startsWith('sleep')).length < 3) await new Promise((resolve) => setTimeout(resolve, 5)) }
`

/** Code that leaves processes behind and then does something of either language. */
function leaving(language: AttackLanguage, then: { node: string; python: string }): Source {
  return language === 'node'
    ? { node: LEAVES_NODE + then.node }
    : { python: `${LEAVES}\nleave(event)\n${then.python}` }
}

/** An attacker that has left its processes behind and answered. */
async function settled(ground: Ground, mark: string, language: AttackLanguage = 'python'): Promise<Attacker> {
  const source = leaving(language, { node: `await left(); return 'left'`, python: `return 'left'` })
  const attacker = await ground.settle(source)
  expect((await ground.call(attacker.name, mark)).json).toBe('left')
  await eventually(() => pidsWith(mark).length === KINDS)
  return attacker
}

async function expectGone(mark: string, { traces }: Attacker): Promise<void> {
  await eventually(() => pidsWith(mark).length === 0)
  await traces.untilGone()
}

describeHostile('what a function leaves behind', (ground) => {
  test.each(LANGUAGES)(
    'in %s goes with its instance, at the latest when the function is removed',
    async (language) => {
      const mark = uniqueSleep()
      const attacker = await settled(ground(), mark, language)
      await ground().expectNeighbourWell()
      await ground().dismiss(attacker)
      await expectGone(mark, attacker)
    },
  )

  test.each(LANGUAGES)('in %s goes with a call that was ended for its time', async (language) => {
    const mark = uniqueSleep()
    const source = leaving(language, {
      node: 'await new Promise(() => {})',
      python: 'while True: time.sleep(60)',
    })
    const attacker = await ground().settle(source, { timeoutS: 1 })
    const { text } = await ground().call(attacker.name, mark)
    expect(text).toContain('timed out')
    await expectGone(mark, attacker)
    await ground().expectNeighbourWell()
    await ground().dismiss(attacker)
  })

  test.each(LANGUAGES)('in %s goes with a process that ended by itself', async (language) => {
    const mark = uniqueSleep()
    const source = leaving(language, { node: 'await left(); process.reallyExit(0)', python: 'os._exit(0)' })
    const attacker = await ground().settle(source)
    const { errorType } = await ground().call(attacker.name, mark)
    expect(errorType).toBe('UnhandledInvocationError')
    await expectGone(mark, attacker)
    await ground().dismiss(attacker)
  })

  test('goes with a process that never lets its channel close', async () => {
    const mark = uniqueSleep()
    const python = `${LEAVES}
kept = os.dup(3)
os.set_inheritable(kept, True)
leave(event)
if os.fork() > 0: os._exit(0)
while True: time.sleep(60)`
    const attacker = await ground().settle({ python }, { timeoutS: 2 })
    const { errorType } = await ground().call(attacker.name, mark)
    expect(errorType).toBe('UnhandledInvocationError')
    await expectGone(mark, attacker)
    await ground().dismiss(attacker)
  })

  test('cannot make itself many before it is ended', async () => {
    const mark = uniqueSleep()
    const python = `${LEAVES}
leave(event)
def flee():
    while True:
        try:
            if os.fork() > 0: os._exit(0)
            os.setsid()
        except OSError: pass
for _ in range(20):
    if os.fork() == 0: flee()
while True: time.sleep(60)`
    const attacker = await ground().settle({ python }, { timeoutS: 1, memoryMib: 1024 })
    const { errorType } = await ground().call(attacker.name, mark)
    expect(errorType).toBe('UnhandledInvocationError')
    await expectGone(mark, attacker)
    await ground().dismiss(attacker)
  })
})

describeHostile(
  'what an idle function leaves behind',
  (ground) => {
    test('goes when the instance is evicted', async () => {
      const mark = uniqueSleep()
      const attacker = await settled(ground(), mark)
      await expectGone(mark, attacker)
      await ground().dismiss(attacker)
    })
  },
  { ANVOKE_IDLE_TIMEOUT_SECONDS: '1' },
)

describeHostile('what a function leaves behind when the server is killed', (ground) => {
  test.each(LANGUAGES)(
    'in %s goes with the server, also while a call runs and its first process does what it can',
    async (language) => {
      const mark = uniqueSleep()
      const idle = await settled(ground(), mark, language)
      const python = `${LEAVES}
leave(event)
def take_over():
    memory = os.open('/proc/1/mem', os.O_RDWR)
    for line in open('/proc/1/maps'):
        if ' r-xp ' in line: os.pwrite(memory, b'\\xeb\\xfe' * 2000, int(line.split('-')[0], 16))
tried(take_over)
for number in (signal.SIGSTOP, signal.SIGTERM): tried(lambda: os.kill(1, number))
# Not what would see the server's end: another program in its place.
libc.prctl(1, 0, 0, 0, 0)
os.execve('/usr/bin/sleep', ['sleep', event], {})`
      const busy = await ground().settle(pythonIn(language, python))
      const call = ground()
        .call(busy.name, mark)
        .catch((error: unknown) => error)
      await eventually(() => pidsWith(mark).length === 2 * KINDS + 1)
      await ground().server.kill()
      expect(await call).toBeInstanceOf(Error)
      await eventually(() => pidsWith(mark).length === 0)
      for (const { traces } of [idle, busy]) await traces.untilEnded()
      await ground().server.launch()
      for (const { traces } of [idle, busy]) await traces.untilGone()
      await ground().expectNeighbourWell()
    },
  )
})
