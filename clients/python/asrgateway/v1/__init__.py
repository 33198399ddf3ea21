"""Generated from `protos/asrgateway/v1`."""
