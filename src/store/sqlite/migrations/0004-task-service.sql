ALTER TABLE tasks ADD COLUMN keeps_details INTEGER NOT NULL DEFAULT 0;
-- What only few tasks have, as JSON: waits after refusals, destinations, where it came from.
ALTER TABLE tasks ADD COLUMN plan TEXT;
ALTER TABLE tasks ADD COLUMN stop_requested_at_ms INTEGER;
-- JSON: the runs after which it was put back.
ALTER TABLE tasks ADD COLUMN history TEXT;
-- 1: its latest run may still have been under way when it was put back: the next one may be a duplicate.
ALTER TABLE tasks ADD COLUMN may_be_running INTEGER NOT NULL DEFAULT 0;
-- Bytes of event, result and log tail of an ended task.
ALTER TABLE tasks ADD COLUMN kept_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN is_redriven INTEGER NOT NULL DEFAULT 0;

CREATE TABLE task_results (
  sequence INTEGER PRIMARY KEY,
  payload  BLOB NOT NULL,
  log_tail BLOB NOT NULL,
  figures  TEXT NOT NULL -- JSON
) STRICT;

-- One row for each function that ever had tasks: nothing that is asked often counts tasks.
CREATE TABLE function_queues (
  account             TEXT    NOT NULL,
  namespace           TEXT    NOT NULL,
  function_name       TEXT    NOT NULL,
  accepted            INTEGER NOT NULL,
  waiting             INTEGER NOT NULL,
  running             INTEGER NOT NULL,
  succeeded           INTEGER NOT NULL,
  failed              INTEGER NOT NULL,
  expired             INTEGER NOT NULL,
  cancelled           INTEGER NOT NULL,
  repeats             INTEGER NOT NULL,
  refusals            INTEGER NOT NULL,
  duplicates          INTEGER NOT NULL,
  live_bytes          INTEGER NOT NULL,
  kept_bytes          INTEGER NOT NULL,
  forgotten_succeeded INTEGER NOT NULL,
  forgotten_failed    INTEGER NOT NULL,
  forgotten_expired   INTEGER NOT NULL,
  forgotten_cancelled INTEGER NOT NULL,
  is_paused           INTEGER NOT NULL DEFAULT 0,
  max_runs            INTEGER,
  max_tasks           INTEGER,
  PRIMARY KEY (account, namespace, function_name)
) STRICT, WITHOUT ROWID;

INSERT INTO function_queues
SELECT account, namespace, function_name, count(*),
  sum(status = 'waiting'), sum(status = 'leased'),
  sum(status = 'succeeded'), sum(status = 'failed'), sum(status = 'expired'), sum(status = 'cancelled'),
  0, 0, 0, coalesce(sum(payload_bytes) FILTER (WHERE ended_at_ms IS NULL), 0), 0, 0, 0, 0, 0, 0, NULL, NULL
FROM tasks GROUP BY account, namespace, function_name;

-- The latest moment that was seen: the time of the queue never goes back, over restarts too.
CREATE TABLE queue_clock (
  id        INTEGER PRIMARY KEY CHECK (id = 1),
  latest_ms INTEGER NOT NULL
) STRICT;
INSERT INTO queue_clock SELECT 1, coalesce(max(max(claimed_at_ms), max(ended_at_ms)), 0) FROM tasks;

-- Claims go by function: each has its own line.
DROP INDEX tasks_by_due;
DROP INDEX tasks_by_end;
CREATE INDEX tasks_leased ON tasks (account, namespace, function_name, due_at_ms) WHERE status = 'leased';
CREATE INDEX tasks_by_ending ON tasks (account, namespace, function_name, status, accepted_at_ms)
  WHERE ended_at_ms IS NOT NULL;
CREATE INDEX tasks_by_end ON tasks (account, namespace, function_name, ended_at_ms) WHERE ended_at_ms IS NOT NULL;
CREATE INDEX tasks_with_own_id ON tasks (account, namespace, function_name, accepted_at_ms)
  WHERE task_id IS NOT NULL;

-- AUTOINCREMENT for the same reason as that of tasks.
CREATE TABLE deliveries (
  sequence           INTEGER PRIMARY KEY AUTOINCREMENT,
  delivery_id        TEXT    NOT NULL,
  account            TEXT    NOT NULL,
  namespace          TEXT    NOT NULL,
  function_name      TEXT    NOT NULL,
  request_id         TEXT    NOT NULL,
  ending             TEXT    NOT NULL CHECK (ending IN ('success', 'failure')),
  destination        TEXT    NOT NULL, -- JSON
  depth              INTEGER NOT NULL,
  body               BLOB    NOT NULL,
  content_type       TEXT    NOT NULL,
  created_at_ms      INTEGER NOT NULL,
  status             TEXT    NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'leased', 'undeliverable')),
  due_at_ms          INTEGER NOT NULL, -- while leased: when the lease ends
  first_tried_at_ms  INTEGER,
  claims             INTEGER NOT NULL DEFAULT 0,
  attempts           INTEGER NOT NULL DEFAULT 0,
  ended_at_ms        INTEGER,
  last_error         TEXT
) STRICT;
CREATE INDEX deliveries_by_due ON deliveries (due_at_ms) WHERE ended_at_ms IS NULL;
CREATE INDEX deliveries_by_end ON deliveries (ended_at_ms) WHERE ended_at_ms IS NOT NULL;
CREATE INDEX deliveries_by_function ON deliveries (account, namespace, function_name, sequence);
