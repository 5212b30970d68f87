"""Work items that need a sum over many pieces first: Spark's grouped aggregation (driver)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import add
from typing import TypeVar

from pyspark import RDD

from kdsspark.engine.work import Item, Session, Spread
from kdsspark.output.names import ItemName

Piece = TypeVar("Piece")
Total = TypeVar("Total")


def summed_first(
    pieces: Callable[[Session, Sequence[Item]], Sequence[tuple[ItemName, Piece]]],
    count: Callable[[Piece], Total],
    complete: Callable[[Item, Total], Item],
) -> Spread[Item]:
    """Makes tasks of work items whose inputs are sums.

    ``pieces`` gives the pieces of every item, by its name. Each is counted by a task of its own,
    the counts of an item are added, and ``complete`` puts the sum into the item.
    """

    def spread(session: Session, items: Sequence[Item]) -> RDD[Item]:
        work = pieces(session, items)
        counted = session.sparkContext.parallelize(work, len(work)).mapValues(count)
        totals = counted.reduceByKey(add, len(items))
        by_name = {item.name: item for item in items}
        return totals.map(partial(_completed, by_name, complete))

    return spread


def _completed(
    by_name: dict[ItemName, Item],
    complete: Callable[[Item, Total], Item],
    counted: tuple[ItemName, Total],
) -> Item:
    name, total = counted
    return complete(by_name[name], total)
