-- When hooks ran and turns began, by time: telemetry of a thread that hooks know by its session alone is found by it. Dropping it
-- loses nothing.
CREATE INDEX observation_hook ON observation (time_ns) WHERE source = 1;
