"""The pipeline of deliveries under a virtual clock: days of traffic in milliseconds, over the rules of the product.

`scenario` draws a world from a seed, `world` runs it, `deliver` and `delay` act as the stages do, `streams` as Kafka
does, `books` write down what happened and judge it. `shrink` makes a failing world small. `python -m tests.simulation
SEED` runs one.
"""
