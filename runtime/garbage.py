"""Python's cycle collector, set for services that start once, live long, and make many short-lived objects."""

import gc

YOUNG_OBJECTS = 50_000
"""Made, and not yet freed, before the collector looks: some MiB. The default is 700, a few events' worth, although what
an event makes is freed without the collector: looking that often took a quarter of a busy process, and looking after
10,000, which one fetch of 500 records makes, 6 %."""

YOUNG_ROUNDS = 10
OLD_ROUNDS = 20
"""Between looks at what is older; the defaults are 10 each."""


def settle() -> None:
    """To be called once, when everything is imported: what is there by then is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_ROUNDS, OLD_ROUNDS)
