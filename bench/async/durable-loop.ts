// The baselines of bench:async: one writer that makes one record after another durable, and waits for each. A program of its own, so
// that nothing else shares its thread: `node durable-loop.ts append|insert DIRECTORY RECORD_BYTES SECONDS RECORDS_PER_SYNC`.
// Prints one JSON object: records, seconds.
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { DatabaseSync } from 'node:sqlite'

const [kind, directory = '', ...numbers] = process.argv.slice(2)
const [recordBytes = 0, seconds = 0, recordsPerSync = 1] = numbers.map(Number)
const record = Buffer.alloc(recordBytes, 'a record\n')
const result = kind === 'insert' ? insert() : append()
process.stdout.write(`${JSON.stringify(result)}\n`)

function append() {
  const file = openSync(join(directory, 'appended'), 'w')
  const counted = repeat(() => {
    for (let count = 0; count < recordsPerSync; count += 1) writeSync(file, record)
    fdatasyncSync(file)
  })
  closeSync(file)
  return counted
}

function insert() {
  const database = new DatabaseSync(join(directory, 'inserted.db'))
  database.exec('PRAGMA journal_mode = WAL')
  database.exec('PRAGMA synchronous = FULL')
  database.exec('CREATE TABLE IF NOT EXISTS records (sequence INTEGER PRIMARY KEY, record BLOB) STRICT')
  const statement = database.prepare('INSERT INTO records (record) VALUES (?)')
  const counted = repeat(() => statement.run(record))
  database.close()
  return counted
}

function repeat(one: () => void): { readonly records: number; readonly seconds: number } {
  const startedAtMs = performance.now()
  let turns = 0
  let elapsedMs = 0
  do {
    one()
    turns += 1
    elapsedMs = performance.now() - startedAtMs
  } while (elapsedMs < seconds * 1000)
  return { records: turns * recordsPerSync, seconds: elapsedMs / 1000 }
}
