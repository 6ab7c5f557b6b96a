import { basename } from 'node:path'
import { ConfigError } from '../config/config-error.ts'
import { formatListenAddress } from '../config/listen-address.ts'
import { flagOf, isSettingKey, settingDocs, variableOf, type Config } from '../config/schema.ts'
import { CommandFailed } from './complaint.ts'

/** What to do about a database that is damaged. */
export function mendingOf(file: string): string {
  return (
    `restore the data directory from a backup; or move ${basename(file)} and ${basename(file)}-wal away: the server then begins anew, ` +
    'without the functions, settings and asynchronous calls that they held, and removes the code that belonged to them'
  )
}

/** Says what to do about a server that did not start; hands back an error that has no explanation. */
export function explainStart(error: unknown, config: Config): unknown {
  if (!(error instanceof Error)) return error
  const code = 'code' in error ? error.code : undefined
  const endpoint = formatListenAddress(config.listen)
  const isListening = 'syscall' in error && (error.syscall === 'listen' || error.syscall === 'getaddrinfo')
  if (isListening) {
    const what = `cannot listen on ${endpoint}`
    const choose = 'choose another address with --listen HOST:PORT or ANVOKE_LISTEN'
    switch (code) {
      case 'EADDRINUSE':
        return new CommandFailed({
          what,
          why: 'another program is using the port; it may be another server of this kind',
          fix: `stop it (\`ss -ltnp 'sport = :${config.listen.port}'\` shows it), or ${choose}`,
        })
      case 'EACCES':
        return new CommandFailed({ what, why: 'ports below 1024 are for privileged users', fix: choose })
      default:
        return new CommandFailed({ what, why: error.message, fix: choose })
    }
  }
  if (error.name === 'StoreRefused') {
    const isInUse = error.message.includes('in use')
    const choose = `${isInUse ? 'stop that server, or ' : ''}choose another directory with --data or ANVOKE_DATA_DIR`
    return new CommandFailed({
      what: `the data directory ${config.dataDir} cannot be used`,
      why: error.message,
      fix: 'fix' in error && typeof error.fix === 'string' ? error.fix : choose,
    })
  }
  for (const told of [error, error.cause]) {
    if (!(told instanceof Error) || told.name !== 'StoreDamaged' || !('file' in told)) continue
    return new CommandFailed({
      what: `the database ${String(told.file)} is damaged`,
      why: `${'reason' in told ? String(told.reason) : told.message}: a disk or another program has changed it, and no start mends that`,
      fix: mendingOf(String(told.file)),
      see: 'docs/operating.md',
    })
  }
  if (error.name === 'InterpreterUnusable' && 'setting' in error) {
    const setting = String(error.setting)
    if (!isSettingKey(setting)) return error
    const { why } = settingDocs[setting]
    return new ConfigError([
      {
        what: `${setting} cannot be used`,
        why: error.message,
        fix: `name another with --${flagOf(setting)} or ${variableOf(setting)}, or none (${why})`,
      },
    ])
  }
  if (error.name === 'ShownToFunctions' && 'what' in error && 'fix' in error) {
    return new CommandFailed({ what: String(error.what), why: error.message, fix: String(error.fix) })
  }
  if (error.name === 'SandboxUnavailable') {
    return new CommandFailed({
      what: 'functions cannot be kept apart as asked',
      why: error.message,
      fix: `\`anvoke doctor\` tells what to type; or let the server choose with --sandbox auto (--sandbox ${config.sandbox} was refused)`,
    })
  }
  if (error.name === 'NetworkUnavailable') {
    return new CommandFailed({
      what: 'functions cannot have the network that was asked for',
      why: error.message,
      fix: `\`anvoke doctor\` tells what to type; or let the server choose with --network auto (--network ${config.network} was refused)`,
    })
  }
  if (code === 'ENOSPC' || code === 'EROFS')
    return new CommandFailed({
      what: `the data directory ${config.dataDir} cannot be used`,
      why: error.message,
      fix: `${code === 'ENOSPC' ? 'make room there, or ' : ''}choose another with --data or ANVOKE_DATA_DIR`,
    })
  if (code === 'EACCES' || code === 'EPERM') {
    return new CommandFailed({
      what: `the data directory ${config.dataDir} cannot be used`,
      why: error.message,
      fix: 'make it writable for this user, or choose another with --data or ANVOKE_DATA_DIR',
    })
  }
  return error
}
