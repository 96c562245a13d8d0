"""What pages say of the runs behind published throughput."""

import pytest

from planner.estimate.serving_speed.source_runs import source_runs_from_rows, source_settings
from profiles.errors import ProfileError

LINE = {
    "id": "x", "setting": "n_requests", "value": "3000", "origin": "page", "engine": "", "model": "", "hardware": "",
    "quant": "", "least_prompt": "", "most_prompt": "1024", "least_output": "", "most_output": "", "source": "page",
}  # fmt: skip


def test_a_line_holds_for_the_rows_that_it_names() -> None:
    known = source_runs_from_rows([LINE, LINE | {"model": "GPT-OSS", "value": "1500"}])
    row = {"origin": "page", "model": "Llama 3"}
    assert source_settings(known, row, 1000, 1000) == {"n_requests": 3000}
    assert source_settings(known, row, 2000, 1000) == {}
    assert source_settings(known, {"origin": "another"}, 1000, 1000) == {}
    # The line that names more of the row is right for it, whichever comes first.
    for lines in (known, known[::-1]):
        assert source_settings(lines, {"origin": "page", "model": "GPT-OSS 20B"}, 1000, 1000) == {
            "n_requests": 1500
        }


@pytest.mark.parametrize("change", [{"setting": "mood"}, {"value": "many"}, {"most_prompt": "few"}])
def test_a_broken_line_is_named(change: dict[str, str]) -> None:
    with pytest.raises(ProfileError, match=r"serving_source_runs\.csv, row 'x'"):
        source_runs_from_rows([LINE | change])
