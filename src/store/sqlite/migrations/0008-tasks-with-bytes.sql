-- Ended tasks of which something large is kept: those that are forgotten for the bytes.
CREATE INDEX tasks_with_bytes ON tasks (account, namespace, function_name, ended_at_ms)
  WHERE ended_at_ms IS NOT NULL AND kept_bytes > 0;
