"""Replays: makes deliveries again from the events stream, at a pace, where it had come to."""
