"""Two registers of one name, as after a restore, are told apart."""

from crdtsync.model.naming import names_apart, short_id

OLD, NEW, OTHER = b"\x01" * 16, b"\x02" * 16, b"\x03" * 16


def test_a_name_that_one_device_bears_stands_alone():
    assert names_apart([(OLD, "Caisse 1", "01"), (OTHER, "Caisse 2", "02")]) == {
        OLD: "Caisse 1",
        OTHER: "Caisse 2",
    }


def test_a_register_and_the_one_in_its_place_are_told_apart_by_their_series():
    names = names_apart([(OLD, "Caisse 1", "01"), (NEW, "Caisse 1", "03"), (OTHER, "Caisse 2", "02")])
    assert names == {OLD: "Caisse 1 (01)", NEW: "Caisse 1 (03)", OTHER: "Caisse 2"}


def test_names_that_differ_in_capitals_alone_are_told_apart():
    assert names_apart([(OLD, "Caisse", "01"), (NEW, "CAISSE", "02")]) == {
        OLD: "Caisse (01)",
        NEW: "CAISSE (02)",
    }


def test_where_the_series_do_not_tell_them_apart_the_ids_do():
    """Two displays have none; and a register may number its tickets as another does."""
    assert names_apart([(OLD, "Écran", None), (NEW, "Écran", None)]) == {
        OLD: f"Écran ({short_id(OLD)})",
        NEW: f"Écran ({short_id(NEW)})",
    }
    names = names_apart([(OLD, "Caisse", "01"), (NEW, "Caisse", "01"), (OTHER, "Caisse", "02")])
    assert names == {OLD: "Caisse (01010101)", NEW: "Caisse (02020202)", OTHER: "Caisse (02)"}


def test_a_device_without_a_name_is_called_by_its_id():
    assert names_apart([(OLD, None, None), (NEW, "", "01")]) == {OLD: "01010101", NEW: "02020202"}


def test_the_last_word_on_a_device_counts():
    assert names_apart([(OLD, "Caisse 1", "01"), (OLD, "Bar", "01"), (NEW, "Caisse 1", "02")]) == {
        OLD: "Bar",
        NEW: "Caisse 1",
    }


def test_a_name_that_looks_like_what_another_is_called_takes_nobodys_place():
    third, fourth = b"\x04" * 16, b"\x05" * 16
    names = names_apart(
        [
            (OLD, "Caisse 1", "01"),
            (NEW, "Caisse 1", "03"),
            (OTHER, "CAISSE 1 (01)", "04"),
            (third, f"Caisse 1 ({short_id(OLD)})", "05"),
            (fourth, short_id(b"\x06" * 16), "06"),
            (b"\x06" * 16, None, None),
        ]
    )
    assert names[OLD] == f"Caisse 1 ({short_id(OLD)})"
    assert names[NEW] == "Caisse 1 (03)"
    assert len({name.casefold() for name in names.values()}) == len(names)
