"""What callers notice while gateways are replaced: nothing.

`make rollouts` does it with 10,000 calls over ten rollouts, and with a client that has no retries.
"""

from __future__ import annotations

import pytest

from rollouts import rolled_out


@pytest.mark.timeout(180)  # Four starts and two stops of processes, which take 20 s each where others load the machine.
async def test_no_call_of_our_client_fails_while_gateways_are_replaced() -> None:
    tally = await rolled_out(rollouts=1, calls=100, callers=5)
    assert tally.calls >= 100
    assert dict(tally.failures) == {}
