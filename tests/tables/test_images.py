"""The schema of a file of embeddings, whose columns follow from the layers."""

import pyarrow as pa

from kdsspark.tables import EMBEDDINGS, embeddings_schema


def test_embeddings_have_one_list_column_a_layer_in_the_given_order() -> None:
    fixed = EMBEDDINGS.schema.names
    schema = embeddings_schema(["fc7", "conv1_1"])
    assert schema.names == [*fixed, "fc7", "conv1_1"]
    for layer in ("fc7", "conv1_1"):
        field = schema.field(layer)
        assert pa.types.is_list(field.type)
        assert field.type.value_type == pa.float32()
        assert not field.nullable
        assert not field.type.value_field.nullable
    assert embeddings_schema(["a"], pa.float64()).field("a").type.value_type == pa.float64()
    assert embeddings_schema([]) == EMBEDDINGS.schema
