"""Runs of flows are forked from a process that has imported what they need."""

from flows.service.flow_forks import modules_for
from flows.service.up import private_folder
from lidcflow.config import Config


def test_the_socket_lies_where_only_its_owner_can_reach_it_and_goes_with_the_service(tmp_path):
    with private_folder(tmp_path) as folder:
        (folder / "runs").touch()
        mode = folder.stat().st_mode & 0o777

    assert (mode, folder.exists()) == (0o700, False)


def test_what_a_killed_service_left_is_used_again(tmp_path):
    with private_folder(tmp_path) as left:
        (left / "runs").touch()
        with private_folder(tmp_path) as folder:
            assert folder == left


def test_a_folder_that_others_can_enter_or_that_is_a_link_is_not_used(tmp_path):
    with private_folder(tmp_path) as taken:
        pass
    for prepare in (lambda: taken.mkdir(mode=0o755), lambda: taken.symlink_to(tmp_path)):
        prepare()
        with private_folder(tmp_path) as folder:
            assert folder != taken
            assert folder.stat().st_mode & 0o777 == 0o700
        taken.unlink() if taken.is_symlink() else taken.rmdir()


def test_only_what_answers_wait_for_is_kept_in_memory():
    without = Config()
    with_inbox = Config(inbox="inbox", delivery={"to": ["answers"]})

    assert "flows.inbox" not in modules_for(without)
    assert {"flows.inbox", "lidcflow.documents.encode"} <= set(modules_for(with_inbox))
