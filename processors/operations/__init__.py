"""What happened to Hooklog itself: told on a stream of its own, and delivered like any event."""
