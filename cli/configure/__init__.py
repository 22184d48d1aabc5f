"""Commands that change what Hooklog is to do: records, folders of them, keys and schemas."""
