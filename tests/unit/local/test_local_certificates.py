import stat

from services.local.certificates import CertificateFolder
from services.local.logs import tail, trim


def write(folder, version):
    folder.write(key_pem=f"key {version}", chain_pem=f"chain {version}", roots_pem=f"roots {version}")


def test_all_three_files_change_together(tmp_path):
    folder = CertificateFolder(tmp_path / "certificates")
    for version in (1, 2, 3):
        write(folder, version)
        files = folder.files
        read = [path.read_text() for path in (files.key, files.chain, files.roots)]
        assert read == [f"key {version}", f"chain {version}", f"roots {version}"]


def test_a_reader_of_the_last_version_is_not_disturbed_and_older_keys_are_gone(tmp_path):
    folder = CertificateFolder(tmp_path / "certificates")
    write(folder, 1)
    opened = folder.files.key.resolve()
    write(folder, 2)
    assert opened.read_text() == "key 1"
    write(folder, 3)
    assert not opened.exists()


def test_only_the_owner_may_read_a_key(tmp_path):
    folder = CertificateFolder(tmp_path / "certificates")
    write(folder, 1)
    assert stat.S_IMODE(folder.files.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_nothing_is_left_of_a_workload_that_went(tmp_path):
    folder = CertificateFolder(tmp_path / "certificates")
    write(folder, 1)
    folder.remove()
    assert list(tmp_path.iterdir()) == []


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
