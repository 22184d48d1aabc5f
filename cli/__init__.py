"""The `hooklog` command: every part imports what it needs when it is used, so that help is instant."""
