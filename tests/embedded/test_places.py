import os
import stat
from pathlib import Path

import pytest

from app.embedded import places
from app.embedded.accounts import Account, can_enter
from app.errors import ConfigurationError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root hands servers to another account")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may enter everything")


@pytest.fixture
def project(yard):
    """A project that everyone may pass through."""
    yard.chmod(0o755)
    directory = yard / "my project"
    directory.mkdir()
    directory.chmod(0o755)
    return directory


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_data_is_in_the_project_where_the_servers_can_get_there(project):
    assert places.root_of(project, None) == project.resolve() / ".tocsin"


@as_root
def test_data_is_under_var_lib_where_the_project_is_closed_to_the_servers(project):
    project.chmod(0o700)
    root = places.root_of(project, None)
    assert root.parent == Path("/var/lib/tocsin")
    assert root == places.root_of(project, None)
    assert root != places.root_of(project.parent, None)


@as_root
def test_root_goes_on_as_the_user_who_owns_the_data_already(project):
    data = project / ".tocsin" / "postgres"
    data.mkdir(parents=True)
    os.chown(data, 1234567, 1234567)
    with pytest.raises(ConfigurationError, match="1234567"):
        places.make(project / ".tocsin")
    os.chown(data, 2, 2)
    assert places.make(project / ".tocsin").account.uid == 2


def test_a_chosen_directory_is_used_wherever_it_is(project):
    assert places.root_of(project, Path("/elsewhere/data")) == Path("/elsewhere/data")


def test_no_directory_that_was_there_changes_its_mode_or_owner(project):
    before = [(path.stat().st_uid, mode(path)) for path in (project, *project.parents)]
    places.make(places.root_of(project, None))
    assert before == [(path.stat().st_uid, mode(path)) for path in (project, *project.parents)]


def test_nobody_else_can_look_into_what_was_made(project):
    place = places.make(places.root_of(project, None))
    assert mode(place.root) & 0o066 == 0
    assert mode(place.logs) == 0o700
    assert mode(place.sockets) == 0o700


def test_making_a_place_twice_gives_the_same(project):
    root = places.root_of(project, None)
    assert places.make(root) == places.make(root)


def test_a_long_path_gets_a_short_directory_for_sockets(project):
    deep = project.joinpath(*["a_rather_long_name_of_a_directory"] * 4)
    deep.mkdir(parents=True)
    sockets = places.make(deep / "data").sockets
    try:
        assert len(os.fsencode(sockets / ".s.PGSQL.5432")) <= 107
        assert mode(sockets) == 0o700
    finally:
        sockets.rmdir()


@pytest.mark.parametrize("name_length", range(40, 75))
def test_every_socket_fits_into_a_kernel_address(project, name_length):
    place = places.make(project / ("d" * name_length))
    try:
        assert len(os.fsencode(place.sockets / ".s.PGSQL.5432")) <= 107
    finally:
        place.sockets.rmdir()


def test_a_short_directory_that_somebody_else_laid_out_is_not_trusted(project):
    deep = project / ("d" * 100)
    sockets = places.make(deep).sockets
    try:
        sockets.chmod(0o777)
        with pytest.raises(ConfigurationError, match="should belong to"):
            places.make(deep)
    finally:
        sockets.rmdir()


@as_root
def test_a_chosen_directory_that_the_servers_cannot_enter_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"cannot enter .*DATA_DIR"):
        places.make(tmp_path / "data")


@as_user
def test_a_directory_that_cannot_be_made_names_the_setting_that_helps(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigurationError, match="DATA_DIR"):
        places.make(tmp_path / "data")


@pytest.mark.parametrize(
    ("bits", "enters"), [(0o755, True), (0o711, True), (0o700, False), (0o770, False), (0o644, False)]
)
def test_strangers_need_the_last_digit(project, bits, enters):
    inside = project / "inside"
    inside.mkdir()
    stranger = Account(name="stranger", uid=4321, gid=4321)
    inside.chmod(bits)
    assert can_enter(stranger, inside) is enters
