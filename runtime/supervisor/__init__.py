"""Runs the whole of Hooklog on one machine: starts it in order, keeps it running, stops it in order."""
