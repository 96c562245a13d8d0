"""Layers dealt to devices in one run each."""

from hypothesis import given
from hypothesis import strategies as st

from planner.estimate.partition import deal

SIZES = st.lists(st.integers(1, 100), min_size=1, max_size=40)
ROOM = st.lists(st.integers(0, 1500), min_size=1, max_size=4)


def test_the_device_filled_first_takes_what_it_holds() -> None:
    # Ten layers of 10 and a head of 15 are 115; device 1 is filled first and holds 60: the head and four layers
    # are 55, and a fifth would be 65. Six layers are left for device 0, which holds just that.
    assert deal([10] * 10 + [15], [60, 60], [1, 0]) == (6, 5)
    # With more room than is needed the first one takes all, and the other none.
    assert deal([10] * 10 + [15], [200, 200], [1, 0]) == (0, 11)
    assert deal([10] * 10 + [15], [200, 200], [0, 1]) == (11, 0)


def test_light_layers_make_a_device_take_more_of_them() -> None:
    # Five of 1 and five of 20: device 0 holds 60 and takes all the light ones and two heavy ones, 45; a third would
    # be 65. Three heavy ones are 60, just what device 1 holds.
    assert deal([1] * 5 + [20] * 5, [60, 60], [0, 1]) == (7, 3)


def test_what_no_run_can_hold_is_none() -> None:
    assert deal([10] * 12, [60, 59], [0, 1]) is None  # 120 do not go into 119
    assert deal([50, 50, 50], [90, 90], [0, 1]) is None  # 150 of 180, but nobody holds two


@given(sizes=SIZES, room=ROOM, data=st.data())
def test_dealt_layers_fit_and_none_is_lost(sizes: list[int], room: list[int], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(room))))
    counts = deal(sizes, room, order)
    if counts is None:
        return
    assert sum(counts) == len(sizes)
    start = 0
    for count, bytes_there in zip(counts, room, strict=True):
        assert sum(sizes[start : start + count]) <= bytes_there
        start += count


@given(sizes=SIZES, n=st.integers(1, 4))
def test_room_for_all_on_every_device_always_suffices(sizes: list[int], n: int) -> None:
    assert deal(sizes, [sum(sizes)] * n, range(n)) is not None
