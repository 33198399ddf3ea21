import socket
import ssl
from pathlib import Path
from urllib.request import urlopen

from cluster.api import Api
from node.open_calls import counted, serving


def test_open_calls_of_all_models_count_together() -> None:
    exposition = """\
# TYPE asrgateway_streams_active gauge
asrgateway_streams_active{model="paraformer-realtime-v2"} 7.0
asrgateway_streams_active{model="pocketsphinx"} 1.0
asrgateway_streams_limit 500.0
"""
    assert counted(exposition) == 8


def test_a_connection_that_says_nothing_keeps_no_other_one_waiting(tmp_path: Path) -> None:
    api = Api(version="v1.30.0", port=1, authority=tmp_path)
    with serving(api, tmp_path, "127.0.0.1", 0) as port, socket.create_connection(("127.0.0.1", port), timeout=30):
        trusted = ssl.create_default_context(cafile=tmp_path / "certificate.pem")
        url = f"https://127.0.0.1:{port}/apis/custom.metrics.k8s.io/v1beta1"
        with urlopen(url, timeout=30, context=trusted) as answer:
            assert answer.status == 200
