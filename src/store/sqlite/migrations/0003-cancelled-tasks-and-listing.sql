-- A task can be cancelled, and may bring the waits between its runs. A CHECK cannot be changed: the table is made anew.
CREATE TABLE tasks_anew (
  sequence           INTEGER PRIMARY KEY AUTOINCREMENT,
  request_id         TEXT    NOT NULL,
  account            TEXT    NOT NULL,
  namespace          TEXT    NOT NULL,
  function_name      TEXT    NOT NULL,
  qualifier          TEXT,
  task_id            TEXT,
  status             TEXT    NOT NULL DEFAULT 'waiting'
                     CHECK (status IN ('waiting', 'leased', 'succeeded', 'failed', 'expired', 'cancelled')),
  accepted_at_ms     INTEGER NOT NULL,
  due_at_ms          INTEGER NOT NULL, -- while leased: when the lease ends
  expires_at_ms      INTEGER NOT NULL,
  started_at_ms      INTEGER,          -- first claim
  claimed_at_ms      INTEGER,          -- last claim
  ended_at_ms        INTEGER,
  max_retries        INTEGER NOT NULL,
  backoff_first_ms   INTEGER,          -- both or none
  backoff_longest_ms INTEGER,
  attempts           INTEGER NOT NULL DEFAULT 0,
  deferrals          INTEGER NOT NULL DEFAULT 0,
  claims             INTEGER NOT NULL DEFAULT 0,
  lost_runs          INTEGER NOT NULL DEFAULT 0,
  payload_bytes      INTEGER NOT NULL,
  last_error         TEXT
) STRICT;

INSERT INTO tasks_anew (sequence, request_id, account, namespace, function_name, qualifier, task_id, status,
  accepted_at_ms, due_at_ms, expires_at_ms, started_at_ms, claimed_at_ms, ended_at_ms, max_retries, attempts, deferrals,
  claims, lost_runs, payload_bytes, last_error)
SELECT sequence, request_id, account, namespace, function_name, qualifier, task_id, status,
  accepted_at_ms, due_at_ms, expires_at_ms, started_at_ms, claimed_at_ms, ended_at_ms, max_retries, attempts, deferrals,
  claims, lost_runs, payload_bytes, last_error
FROM tasks;

-- Row numbers of tasks that were forgotten must not come back either: leases name rows by them.
DELETE FROM sqlite_sequence WHERE name = 'tasks_anew';
INSERT INTO sqlite_sequence (name, seq) SELECT 'tasks_anew', seq FROM sqlite_sequence WHERE name = 'tasks';

DROP TABLE tasks;
ALTER TABLE tasks_anew RENAME TO tasks;

CREATE UNIQUE INDEX tasks_by_task_id ON tasks (account, namespace, function_name, task_id)
  WHERE task_id IS NOT NULL;
CREATE INDEX tasks_by_due ON tasks (due_at_ms) WHERE ended_at_ms IS NULL;
CREATE INDEX tasks_by_end ON tasks (ended_at_ms) WHERE ended_at_ms IS NOT NULL;
-- Leads from one function with waiting tasks to the next, and to each one's oldest: a claim that leaves out functions
-- at their cap must not read all of their tasks.
CREATE INDEX tasks_by_function ON tasks (account, namespace, function_name, due_at_ms)
  WHERE ended_at_ms IS NULL;
-- For those who look at tasks: one of them, or the latest of a function.
CREATE INDEX tasks_by_request ON tasks (account, request_id);
CREATE INDEX tasks_by_acceptance ON tasks (account, namespace, function_name, accepted_at_ms);
