"""The deliver agent: makes the requests, decides what follows, and records every attempt."""
