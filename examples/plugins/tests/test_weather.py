import importlib
import sys
from pathlib import Path

import pytest

from localagent import ToolError

sys.path.insert(0, str(Path(__file__).parents[1]))
plugin = importlib.import_module("weather")
BERN = {"results": [{"name": "Bern", "country": "Switzerland", "latitude": 46.9, "longitude": 7.4}]}
DAYS = {
    "daily": {
        "time": ["2026-05-31", "2026-06-01"],
        "weather_code": [0, 63],
        "temperature_2m_min": [9.5, 11.0],
        "temperature_2m_max": [21.0, 15.5],
        "precipitation_probability_max": [None, 80],
    }
}


def test_each_day_has_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(plugin, "ask", lambda host, path, **query: asked.append((host, query)) or (DAYS if asked[1:] else BERN))
    told = plugin.weather("Bern, Switzerland", days=2)
    assert told == "Bern, Switzerland:\n2026-05-31  clear, 9.5 to 21 °C, rain 0%\n2026-06-01  rain, 11 to 15.5 °C, rain 80%"
    assert asked[0] == (plugin.PLACES, {"name": "Bern", "count": 1}) and asked[1][1]["forecast_days"] == 2


def test_an_unknown_place_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "ask", lambda host, path, **query: {})
    with pytest.raises(ToolError, match="next larger town"):
        plugin.weather("Nowhere")
