import { spawn } from 'node:child_process'
import { expect, test } from 'vitest'
import { eventually, pidsWith, uniqueSleep } from '../sandbox/harness.ts'
import { describeHostile, expectAllRefused, LANGUAGES, pythonIn, sourceIn } from './harness.ts'

const NO_CAPABILITY = '0000000000000000'

describeHostile('an attack on processes', (ground) => {
  test.each(LANGUAGES)('in %s sees no process but its own', async (language) => {
    const mark = uniqueSleep()
    const stranger = spawn('sleep', [mark])
    await eventually(() => pidsWith(mark).length === 1)
    const attack = {
      node: `
        const pids = fs.readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name)).map(Number)
        const lines = pids.map((pid) => tried(() => fs.readFileSync('/proc/' + pid + '/cmdline', 'latin1')))
        const strangers = triedEach(event.pids, (pid) => fs.readFileSync('/proc/' + pid + '/stat', 'latin1'))
        return { lines, strangers, hidden: event.pids.filter((pid) => fs.existsSync('/proc/' + pid + '/task')) }`,
      python: `
pids = [name for name in os.listdir('/proc') if name.isdigit()]
lines = [tried(lambda: read('/proc/%s/cmdline' % pid)) for pid in pids]
return {'lines': lines, 'strangers': {str(pid): tried(lambda: read('/proc/%s/stat' % pid)) for pid in event['pids']},
    'hidden': [pid for pid in event['pids'] if os.path.exists('/proc/%s/task' % pid)]}`,
    }
    const pids = [stranger.pid, process.pid, ground().server.pid, process.ppid].filter(
      (pid) => Number(pid) > 50,
    )
    const source = sourceIn(language, attack)
    const { lines, strangers, hidden } = await ground().reported(source, { event: { pids } })
    stranger.kill()
    expectAllRefused(strangers)
    expect(hidden).toEqual([])
    expect(lines.length).toBeLessThan(5)
    expect(lines.join()).not.toContain(mark)
    expect(lines.join()).not.toContain('anvoke.js')
  })

  test.each(LANGUAGES)(
    'in %s signals neither the server, nor the host, nor the neighbour',
    async (language) => {
      const mark = uniqueSleep()
      const stranger = spawn('sleep', [mark])
      const python = `
return {str(pid): tried(lambda: os.kill(pid, signal.SIGKILL)) for pid in event} | {'group': tried(lambda: os.killpg(event[0], signal.SIGKILL)),
    'realtime': tried(lambda: signal.pidfd_send_signal(os.pidfd_open(event[0]), signal.SIGKILL))}`
      const event = [stranger.pid, process.pid, ground().server.pid].filter((pid) => Number(pid) > 50)
      expectAllRefused(await ground().reported(pythonIn(language, python), { event }))
      expect(stranger.exitCode ?? stranger.signalCode).toBeNull()
      stranger.kill()
    },
  )

  test.each(LANGUAGES)('in %s that kills everything it can ends itself alone', async (language) => {
    const { pid } = ground().server
    const attack = {
      node: `
for (const number of ['SIGTERM', 'SIGHUP', 'SIGSTOP', 'SIGKILL']) for (const pid of [1, -1]) tried(() => { process.kill(pid, number) })
process.kill(process.pid, 'SIGKILL')`,
      python: `
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGSTOP, signal.SIGKILL): tried(lambda: os.kill(-1, number)); tried(lambda: os.kill(1, number))
os.kill(os.getpid(), signal.SIGKILL)`,
    }
    const answer = await ground().attack(sourceIn(language, attack))
    expect(answer.errorType).toBe('UnhandledInvocationError')
    expect(ground().server.pid).toBe(pid)
  })

  test.each(LANGUAGES)('in %s traces and writes no process of another', async (language) => {
    const python = `
PTRACE_ATTACH, PTRACE_SEIZE, PTRACE_TRACEME = 16, 0x4206, 0
return {
    'attach': kernel('ptrace', PTRACE_ATTACH, 1, 0, 0), 'seize': kernel('ptrace', PTRACE_SEIZE, 1, 0, 0),
    'traceme': in_child(lambda: kernel('ptrace', PTRACE_TRACEME, 0, 0, 0)),
    'read': kernel('process_vm_readv', 1, 0, 0, 0, 0, 0), 'write': kernel('process_vm_writev', 1, 0, 0, 0, 0, 0),
    'memory': tried(lambda: os.open('/proc/1/mem', os.O_RDWR)), 'task': tried(lambda: os.open('/proc/1/task/1/mem', os.O_RDWR)),
    'descriptor': kernel('pidfd_getfd', os.pidfd_open(1), 0, 0),
    'kcmp': kernel('kcmp', 1, os.getpid(), 0, 0, 0),
}`
    expectAllRefused(await ground().reported(pythonIn(language, python)))
  })

  test.each(LANGUAGES)(
    'in %s raises neither its priority, nor its limits, nor its rank',
    async (language) => {
      const python = `
import resource
soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
def raised(kind):
    soft, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY: raise OSError(errno.EINVAL, 'is not bounded')
    resource.setrlimit(kind, (hard + 1, hard + 1))
return {
    'nice': tried(lambda: os.setpriority(os.PRIO_PROCESS, 0, -1)), 'init': tried(lambda: os.setpriority(os.PRIO_PROCESS, 1, -1)),
    'realtime': tried(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))),
    'files': tried(lambda: raised(resource.RLIMIT_NOFILE)), 'cores': tried(lambda: resource.setrlimit(resource.RLIMIT_CORE, (1, 1))),
    'size': tried(lambda: raised(resource.RLIMIT_FSIZE)),
    'oom': tried(lambda: os.write(os.open('/proc/self/oom_score_adj', os.O_WRONLY), b'-1000')),
}`
      expectAllRefused(await ground().reported(pythonIn(language, python)))
    },
  )

  test.each(LANGUAGES)(
    'in %s has no privileges and gets none from programs that give some',
    async (language) => {
      const python = `
import subprocess
def status(text): return dict(line.split(':\\t', 1) for line in text.splitlines() if line.startswith(('Cap', 'NoNewPrivs', 'Uid', 'Gid', 'Seccomp:', 'Groups')))
given = [path for path in ('/usr/bin/su', '/usr/bin/mount', '/usr/bin/passwd', '/usr/bin/newgrp') if os.path.exists(path)]
setuid = [path for root in ('/usr/bin', '/usr/sbin', '/usr/lib/openssh', '/usr/libexec') for path in (os.path.join(root, name) for name in (os.listdir(root) if os.path.isdir(root) else [])) if os.path.isfile(path) and os.stat(path).st_mode & 0o6000]
def through(path):
    ran = subprocess.run([path, *(['-c', 'cat /proc/self/status'] if path.endswith(('/su', '/newgrp')) else ['--bind', '/tmp', '/usr'])], capture_output=True, stdin=subprocess.DEVNULL)
    if ran.returncode != 0: raise OSError(errno.EPERM, '')
    return ran.stdout.decode()
os.mkdir('/tmp/own'); open('/tmp/own/id', 'w').write('#!/bin/sh\\n'); os.chmod('/tmp/own/id', 0o4755)
return {
    'own': status(open('/proc/self/status').read()),
    'child': status(subprocess.run(['cat', '/proc/self/status'], capture_output=True).stdout.decode()),
    'setuid': len(setuid), 'tries': {path: tried(lambda: through(path)) for path in given} | {
        'setuid(0)': tried(lambda: os.setuid(0)), 'setgid(0)': tried(lambda: os.setgid(0)), 'setgroups': tried(lambda: os.setgroups([0])),
        'setresuid': kernel('setresuid', 0, 0, 0), 'no_new_privs off': tried(lambda: (_ for _ in ()).throw(OSError(errno.EPERM, '')) if libc.prctl(38, 0, 0, 0, 0) else None),
    },
}`
      const { own, child, tries } = await ground().reported(pythonIn(language, python))
      for (const status of [own, child]) {
        for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
          expect([set, status[set]]).toEqual([set, NO_CAPABILITY])
        expect(status['NoNewPrivs']).toBe('1')
        expect(status['Seccomp']).toBe('2')
        expect(status['Uid'].split('\t')).not.toContain('0')
        expect(status['Gid'].split('\t')).not.toContain('0')
        expect(status['Groups'].trim()).toBe(ground().serverUid === 0 ? '' : status['Groups'].trim())
      }
      expectAllRefused(tries)
    },
  )
})
