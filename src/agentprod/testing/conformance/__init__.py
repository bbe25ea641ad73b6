"""Checks that a layer, a wire format or a store of yours does what every one of them has to.

```python
import pytest

from agentprod.testing import conformance


@pytest.mark.parametrize("check", conformance.layer_checks(MyLayer), ids=str)
def test_my_layer_conforms(check):
    check()
```

`layer_checks`, `dialect_checks` and `store_checks` return the checks one by one; `verify` runs them all.
"""

from __future__ import annotations

from agentprod.testing.conformance.check import Check, NotConforming, verify
from agentprod.testing.conformance.dialects import Sample, dialect_checks
from agentprod.testing.conformance.layers import layer_checks
from agentprod.testing.conformance.stores import store_checks

__all__ = ["Check", "NotConforming", "Sample", "dialect_checks", "layer_checks", "store_checks", "verify"]
