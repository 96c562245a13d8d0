"""Rows about rooms and container images."""

import pytest

from profiles import machine_schema, schema
from profiles.errors import ProfileError
from profiles.loader import accelerator_rows, engine_image_rows, node_rows, node_site_rows


@pytest.mark.parametrize("row", node_site_rows(), ids=lambda row: row["id"])
def test_every_site_keeps_the_schema_and_is_of_a_known_machine(row: schema.Row) -> None:
    machine_schema.check_node_site(row, "node_sites.csv")
    node = next(one for one in node_rows() if one["id"] == row["node_id"])
    board_w = next(one["power_w"] for one in accelerator_rows() if one["id"] == node["accelerator_id"])
    # A whole machine draws more than its boards, and no more than twice that: hosts, fans and networks.
    boards_w = float(board_w or 0) * int(node["n_accelerators"] or 0)
    assert boards_w < float(row["max_power_w"] or 0) < 2.2 * boards_w


@pytest.mark.parametrize("row", engine_image_rows(), ids=lambda row: row["id"])
def test_every_image_keeps_the_schema(row: schema.Row) -> None:
    machine_schema.check_engine_image(row, "engine_images.csv")


def test_a_tag_without_its_version_is_refused() -> None:
    row = dict(engine_image_rows()[0]) | {"tag": "latest"}
    with pytest.raises(ProfileError, match="version"):
        machine_schema.check_engine_image(row, "engine_images.csv")
