from services.local.logs import tail, trim


def test_a_log_that_has_grown_too_large_is_put_aside_and_begun_anew(tmp_path):
    log = tmp_path / "shop-0.town" / "app.log"
    log.parent.mkdir()
    with log.open("a") as writer:
        writer.write("x" * 100)
        writer.flush()
        trim(tmp_path, 99)
        writer.write("after")
    assert log.read_text() == "after"
    assert len(log.with_name("app.log.1").read_text()) == 100


def test_a_small_log_is_left_alone(tmp_path):
    log = tmp_path / "shop-0.town" / "app.log"
    log.parent.mkdir()
    log.write_text("x" * 99)
    trim(tmp_path, 99)
    assert [path.name for path in log.parent.iterdir()] == ["app.log"]


def test_the_tail_of_a_log_starts_where_the_program_did(tmp_path):
    log = tmp_path / "app.log"
    log.write_text("before" + "now")
    assert tail(log, since=6) == "now"
    assert tail(log, since=1000) == "beforenow"  # the log was begun anew meanwhile
    assert tail(tmp_path / "none.log", since=0) == ""
