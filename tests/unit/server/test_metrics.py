from crdtsync_server.serving.metrics import RelayMetrics


def test_every_metric_is_named_after_the_relay():
    names = {family.name for family in RelayMetrics().registry.collect()}
    assert names
    assert all(name.startswith("crdtsync_relay_") for name in names)


def test_two_relays_in_one_process_count_apart():
    busy, idle = RelayMetrics(), RelayMetrics()
    busy.records.inc(3)
    assert b"crdtsync_relay_records_total 3.0" in busy.render()
    assert b"crdtsync_relay_records_total 0.0" in idle.render()


def test_no_metric_says_which_shop_or_device_sells():
    labels = {
        label for metric in vars(RelayMetrics()).values() for label in getattr(metric, "_labelnames", ())
    }
    assert labels <= {"reason", "code", "result"}
