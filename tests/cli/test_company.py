"""Who sells, said by the command line of a register of its own."""

SAID = (
    *("--name", "Cave du Port SARL", "--address", "3 quai du Port", "--address", "17000 La Rochelle"),
    *("--siret", "73282932000074", "--naf", "4725Z", "--vat-number", "FR44732829320"),
)


def test_it_is_said_shown_and_replaced(till):
    assert "Nobody has said who sells" in till.ok("company")
    shown = till.ok("company", *SAID)
    assert shown.splitlines() == [
        *("Cave du Port SARL", "3 quai du Port", "17000 La Rochelle"),
        *("73282932000074", "4725Z", "FR44732829320"),
    ]
    assert till.ok("company") == shown
    told = till.json("company", "--name", "Cave Neuve")
    assert (told["name"], told["siret"], told["address"]) == ("Cave Neuve", "", "")
    assert till.json("verify")["findings"] == []


def test_numbers_that_cannot_be_are_refused_and_nothing_is_recorded(till):
    before = till.json("status")["log_end"]
    for wrong in (("--siret", "1"), ("--siret", "73282932000075"), ("--naf", "1"), ("--vat-number", "x")):
        result = till.run("company", *wrong)
        assert result.exit_code == 11, wrong
    assert till.json("status")["log_end"] == before
