"""Pure decisions: no input or output, no asyncio; the time and the random number are handed in."""
