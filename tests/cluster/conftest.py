"""An API server of the oldest supported Kubernetes, then one of the newest."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Final

import pytest

from cluster.api import Api
from cluster.programs import API_SERVERS, ETCD, Program, path_of
from cluster.servers import api_server, furnish

_NUMBERS: Final = itertools.count(1)
#: All tests of an API server run in the same process, which starts it once.
_PARAMS: Final = [
    pytest.param(program, id=program.module.version, marks=pytest.mark.xdist_group(program.module.version))
    for program in API_SERVERS
]


@pytest.fixture(scope="session", params=_PARAMS)
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    program: Program = request.param
    missing = [str(path_of(one)) for one in (ETCD, program) if not path_of(one).exists()]
    if missing:
        reason = f"{' and '.join(missing)} not built: `make cluster-test` builds it, or says why not"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    with api_server(program, tmp_path_factory.mktemp("cluster")) as server:
        furnish(server)
        yield server


@pytest.fixture
def namespace(api: Api) -> str:
    """A namespace that no other test uses."""
    name = f"speech-{next(_NUMBERS)}"
    api.make_namespace(name)
    return name
