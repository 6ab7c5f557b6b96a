CREATE TABLE definitions (
  kind     TEXT    NOT NULL,
  key      TEXT    NOT NULL,
  revision INTEGER NOT NULL,
  value    TEXT    NOT NULL, -- JSON
  PRIMARY KEY (kind, key)
) STRICT;

-- AUTOINCREMENT: a lease is a row number and a claim number, so row numbers must not come back.
CREATE TABLE tasks (
  sequence       INTEGER PRIMARY KEY AUTOINCREMENT,
  request_id     TEXT    NOT NULL,
  account        TEXT    NOT NULL,
  namespace      TEXT    NOT NULL,
  function_name  TEXT    NOT NULL,
  qualifier      TEXT,
  task_id        TEXT,
  status         TEXT    NOT NULL DEFAULT 'waiting'
                 CHECK (status IN ('waiting', 'leased', 'succeeded', 'failed', 'expired')),
  accepted_at_ms INTEGER NOT NULL,
  due_at_ms      INTEGER NOT NULL, -- while leased: when the lease ends
  expires_at_ms  INTEGER NOT NULL,
  started_at_ms  INTEGER,          -- first claim
  claimed_at_ms  INTEGER,          -- last claim
  ended_at_ms    INTEGER,
  max_retries    INTEGER NOT NULL,
  attempts       INTEGER NOT NULL DEFAULT 0,
  deferrals      INTEGER NOT NULL DEFAULT 0,
  claims         INTEGER NOT NULL DEFAULT 0,
  lost_runs      INTEGER NOT NULL DEFAULT 0,
  payload_bytes  INTEGER NOT NULL,
  last_error     TEXT
) STRICT;

-- Apart from the task, because an UPDATE of a row rewrites all of it; deleted when the task ends.
CREATE TABLE task_payloads (
  sequence INTEGER PRIMARY KEY,
  payload  BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX tasks_by_task_id ON tasks (account, namespace, function_name, task_id)
  WHERE task_id IS NOT NULL;
CREATE INDEX tasks_by_due ON tasks (due_at_ms) WHERE ended_at_ms IS NULL;
CREATE INDEX tasks_by_end ON tasks (ended_at_ms) WHERE ended_at_ms IS NOT NULL;
