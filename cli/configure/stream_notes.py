"""What the streams hold, in a line each, for `hooklog schema streams`."""

from schemas.streams import Stream

_NOTES = {
    "config": ("record id", "intake: JSON, null deletes; anything may arrive here"),
    "config.outcomes": ("record id", "what became of each intake record"),
    "tables": ("record id", "the tables, written by the config agent alone"),
    "tables.health": ("subscription id", "since when a subscription only fails; nothing of those that do not"),
    "tables.expired": (
        "group/stream/partition",
        "records that were gone before they were read, and when somebody took note",
    ),
    "events": ("ordering key, else dedup id, else event id", "what was posted, byte for byte"),
    "rejections": ("source id", "refused requests"),
    "dispatches": ("event id", "what became of each event: matched, skipped and why"),
    "deliveries": ("subscription id", "what is due now"),
    "retry": ("subscription id", "deliveries that wait for another attempt"),
    "park": ("subscription id", "deliveries that wait for a place in flight"),
    "attempts": ("subscription id", "what came of each attempt"),
    "dead": ("subscription id", "deliveries that were given up"),
    "operations": ("subject id", "what happened to Hooklog itself: a dead letter, a refused record, a breaker opened"),
    "replays": ("replay id", "what is delivered again, copies of what the events stream lacks, and how far that is"),
}


def note(stream: Stream) -> tuple[str, str]:
    """The key of a stream's records, and what they are; empty for a stream that nobody described."""
    return _NOTES.get(stream.name) or _NOTES.get(stream.name.partition(".")[0]) or ("", "")
