"""What can be asked: the timeline of an event, and read-only SQL."""
