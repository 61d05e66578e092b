-- For how long whoever started a task may give no sign of life, in seconds.
ALTER TABLE credentials ADD COLUMN heartbeat_secs INTEGER;
