"""Windows of five seconds, as frameworks' limiters announce them, are used to nine tenths."""

from statistics import median

import pytest

from simulation.small_windows import CALLS, LEAST, ROWS, Row, play

TYPICAL = 5


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_a_job_of_six_windows_takes_little_longer_than_it_must(row: Row) -> None:
    reports = [play(row, seed) for seed in range(TYPICAL)]
    assert all(report.reasons == {"success": CALLS} for report in reports)
    assert sum(len(report.refused_at) for report in reports) <= 2
    assert median(LEAST / report.finished_at for report in reports) >= 0.9
