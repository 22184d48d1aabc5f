"""Holds the tables against the log and against themselves: what was accepted has become what it should."""
