"""The contract's messages and statuses, made from and into the gateway's own records."""
