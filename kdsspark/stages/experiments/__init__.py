"""The experiments: questions of other papers about the same features, one module each.

Each is a :class:`kdsspark.engine.stage.Stage` of the list :data:`kdsspark.stages.EXPERIMENTS` and
runs like one: a plan made by reading, work items with receipts, tables of its own.
"""
