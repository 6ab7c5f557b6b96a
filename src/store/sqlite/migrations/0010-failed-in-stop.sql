-- Cancelled calls whose run failed by itself in the time that its stop gave it: few, among the many that were purged. No other call is in it.
CREATE INDEX tasks_failed_in_stop ON tasks (account, namespace, function_name, accepted_at_ms)
  WHERE status = 'cancelled' AND stop_requested_at_ms IS NOT NULL AND last_error <> 'terminated';
