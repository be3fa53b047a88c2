"""The configuration of iotcore (rumqttd in a wheel), the broker of the demonstration: MQTT 5, this
machine only, in memory. Its own defaults are MQTT 3.1.1, 20 kB and every interface.
"""


def broker_config(port: int) -> str:
    """TOML for `iotcore.Broker(config_path=...)` or `python -m iotcore --config`."""
    return f"""id = 0
[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = 33554432
max_segment_count = 4
[v5.1]
name = "caselink"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 4194304
max_inflight_count = 100
dynamic_filters = true
"""
