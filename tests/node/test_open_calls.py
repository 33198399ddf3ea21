from node.open_calls import counted


def test_open_calls_of_all_models_count_together() -> None:
    exposition = """\
# TYPE asrgateway_streams_active gauge
asrgateway_streams_active{model="paraformer-realtime-v2"} 7.0
asrgateway_streams_active{model="pocketsphinx"} 1.0
asrgateway_streams_limit 500.0
"""
    assert counted(exposition) == 8
