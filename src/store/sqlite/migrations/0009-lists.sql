-- Lists that look for few among many. Partial: a plain call that waits is in none of them, and accepting it costs nothing more.
CREATE INDEX tasks_repeated ON tasks (account, namespace, function_name, accepted_at_ms)
  WHERE attempts > 0 AND ended_at_ms IS NULL;
-- The latest state, by whatever name, is what nearly all calls are of.
CREATE INDEX tasks_by_qualifier ON tasks (account, namespace, function_name, qualifier, accepted_at_ms)
  WHERE qualifier IS NOT NULL AND qualifier <> 'LATEST';
