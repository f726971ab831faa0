"""The weather of the coming days, from open-meteo.com, which needs no key. The user is asked before it reaches out."""

import json
from typing import Annotated
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from localagent import Limit, ToolError, tool

PLACES, FORECAST = "geocoding-api.open-meteo.com", "api.open-meteo.com"
SKY = {0: "clear", 1: "mostly clear", 2: "partly cloudy", 3: "overcast", 45: "fog", 48: "fog", 80: "showers", 95: "thunderstorm"}


@tool(effects=["net"], hosts=[PLACES, FORECAST], timeout=30)
def weather(place: str, days: Annotated[int, Limit(ge=1, le=14)] = 3) -> str:
    """Tell the weather forecast of a place for the coming days.

    Args:
        place: A town, with its country where that is not plain.
        days: How many days.
    """
    found = ask(PLACES, "/v1/search", name=place.partition(",")[0], count=1).get("results")
    if not found:
        raise ToolError(f"No place is called {place!r}. Give the name of the next larger town.")
    at = found[0]
    wanted = "weather_code,temperature_2m_min,temperature_2m_max,precipitation_probability_max"
    where = {"latitude": at["latitude"], "longitude": at["longitude"]}
    daily = ask(FORECAST, "/v1/forecast", **where, daily=wanted, timezone="auto", forecast_days=days)["daily"]
    lines = [f"{at['name']}, {at.get('country', '')}:"]
    for day, code, low, high, rain in zip(daily["time"], *(daily[name] for name in wanted.split(",")), strict=True):
        lines.append(f"{day}  {sky(code)}, {low:g} to {high:g} °C, rain {rain or 0}%")
    return "\n".join(lines)


def sky(code: int) -> str:
    return SKY.get(code) or ("drizzle" if code < 60 else "rain" if code < 70 else "snow" if code < 80 else "showers")


def ask(host: str, path: str, **query: object) -> dict:
    try:
        with urlopen(f"https://{host}{path}?{urlencode(query)}", timeout=20) as answer:
            return json.load(answer)
    except (URLError, ValueError, TimeoutError) as error:
        raise ToolError(f"{host} gave no answer: {error}. Try again later.") from None
