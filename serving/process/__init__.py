"""What one worker process holds: settings, the served model, its threads, logs and metrics."""
