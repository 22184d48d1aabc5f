"""Hourly figures of attempts, computed whole from the attempts themselves."""
