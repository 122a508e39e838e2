"""All rows, by name."""

from __future__ import annotations

from benching import matrices, models, rosenbrock
from benching.harness import Row

ROWS: dict[str, Row] = {row.name: row for row in (*models.ROWS, *rosenbrock.ROWS, *matrices.ROWS)}
