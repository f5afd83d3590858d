"""What is new at a source; bringing what changed, compared by hash and replaced only if it is other than before."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pipeline_lib.catalog import WHOLE, Source
from pipeline_lib.errors import FetchError, GyreError, StoreError
from pipeline_lib.fetch.base import may_lack
from pipeline_lib.fetch.news import Offer, differs, enough, offer, preliminary_files
from pipeline_lib.fetch.registry import DRIVERS
from pipeline_lib.fetch.stage import fetch_source
from pipeline_lib.io.atomic import write_json
from pipeline_lib.io.manifest import Manifest, read_manifest
from pipeline_lib.operations.shares import shares
from pipeline_lib.plan import Plan, stage_code

logger = logging.getLogger(__name__)

SEEN = ".seen.json"
"""Beside the raw files of a source: what the provider said last. Losing it costs one comparison by hash."""

State = Literal["new", "changed", "same", "absent", "unasked"]
"""Of a part at the provider: not here yet; perhaps other than here; as here; not there; nobody asked."""


@dataclass
class Found:
    """What was found at a source.

    Attributes
    ----------
    parts
        State of each part that belongs to the days looked at, in order.
    preliminary
        Parts of which the provider has a preliminary version only.
    error
        Why the provider could not be asked for the remaining parts.
    """

    parts: dict[str, State] = field(default_factory=dict)
    preliminary: list[str] = field(default_factory=list)
    error: GyreError | None = None

    def which(self, *states: State) -> list[str]:
        """Parts in one of the given states, in order."""
        return [part for part, state in self.parts.items() if state in states]


@dataclass
class Brought:
    """Parts that were fetched again and are other than before."""

    reissued: list[str] = field(default_factory=list)
    final: list[str] = field(default_factory=list)
    """Final versions in place of preliminary ones."""
    error: GyreError | None = None


class SourceDesk:
    """One source of a plan: asks the provider, brings changed parts, knows which periods are on hand."""

    def __init__(self, plan: Plan, name: str) -> None:
        self.plan = plan
        self.source: Source = plan.catalog.source(name)
        self._seen_file = Path(plan.path("raw", source=name, part=WHOLE)).with_name(SEEN)
        self._seen: dict[str, Any] = _read_seen(self._seen_file)
        self._offers: dict[str, Offer] = {}

    @property
    def whole(self) -> bool:
        """Whether all periods lie in one part."""
        return self.source.parts == "whole"

    def raw(self, part: str) -> Path:
        """Manifest of a part."""
        return Path(self.plan.path("raw", source=self.source.name, part=part))

    def fetched(self, part: str) -> Manifest | None:
        """Manifest of a part as it is here; ``None`` if it is not."""
        try:
            return read_manifest(self.raw(part), kind="raw", verify="none")
        except StoreError:
            return None

    def periods(self, start: date, today: date) -> list[str]:
        """Periods from ``start`` on whose last day is not after ``today``."""
        end = min(today, self.source.time.end or today)
        return [p for p in self.source.periods(start, end) if self.source.days(p)[1] <= end]

    # ---- asking ------------------------------------------------------------------------------------------

    def ask(self, periods: Iterable[str], since: date, today: date | None = None) -> Found:
        """Ask the provider for the parts of ``periods`` that are not here, preliminary, or end after ``since``.

        Of a part that ends ``today`` nothing may lack: its files are still to come.
        """
        found = Found()
        driver, options = DRIVERS.get(self.source.driver), self.source.driver_options
        for part in dict.fromkeys(self.source.part_of(p) for p in periods):
            here = self.fetched(part)
            if here is not None and not self._is_asked(part, here, since):
                found.parts[part] = "unasked"
                continue
            if found.error is not None:
                found.parts[part] = "unasked" if here is not None else "absent"
                continue
            try:
                offered = offer(driver, options, driver.files(options, self.source.request(part)))
            except FetchError as error:
                found.error = error
                found.parts[part] = "unasked" if here is not None else "absent"
                continue
            self._offers[part] = offered
            is_over = part == WHOLE or today is None or self.source.days(part)[1] < today
            is_enough = enough(offered, may_lack(options) if is_over else 0)
            found.parts[part] = self._state(offered, here, part, is_enough=is_enough)
            if offered.preliminary and is_enough:
                found.preliminary.append(part)
        return found

    def _is_asked(self, part: str, here: Manifest, since: date) -> bool:
        return part == WHOLE or bool(preliminary_files(here)) or self.source.days(part)[1] >= since

    def _state(self, offered: Offer, here: Manifest | None, part: str, *, is_enough: bool) -> State:
        if here is None:
            return "new" if is_enough else "absent"
        gone = [name for name in offered.missing if name in here.files]
        if gone or not is_enough:
            name = (*gone, *offered.missing)[0]
            logger.warning("%s %s: the provider has no %s any more", self.source.name, part, name)
            return "unasked"
        return "changed" if differs(offered, here, self._seen["versions"].get(part, {})) else "same"

    # ---- bringing ----------------------------------------------------------------------------------------

    def bring(self, parts: Iterable[str]) -> Brought:
        """Fetch parts again; those that are other than before replace what is here."""
        brought = Brought()
        code = stage_code("fetch", *self.source.fetch_modules())
        for part in parts:
            before = self.fetched(part)
            if self.whole and before is not None:
                self._digests(before)  # while its files are here: later it tells what changed
            try:
                fetch_source(
                    self.source,
                    part=part,
                    output=self.raw(part),
                    mirror=self.plan.config.mirror,
                    code=code,
                    again=True,
                )
            except GyreError as error:  # the earlier version stays, and the next update tries again
                logger.error("%s", error.line)
                brought.error = error
                continue
            now = self.fetched(part)
            self.remember([part])
            if before is None or now is None:
                continue
            if preliminary_files(before) and not preliminary_files(now):
                brought.final.append(part)
            elif now.identity != before.identity:
                brought.reissued.append(part)
        return brought

    def remember(self, parts: Iterable[str]) -> None:
        """Note what the provider said of parts that are here now as it was said."""
        for part in parts:
            if part in self._offers and self.raw(part).exists():
                self._seen["versions"][part] = dict(self._offers[part].versions)
        self._save()

    # ---- what is on hand ---------------------------------------------------------------------------------

    def on_hand(self, periods: Iterable[str]) -> list[str]:
        """Those of ``periods`` whose raw data are here and complete."""
        if not self.whole:
            return [p for p in periods if self.raw(self.source.part_of(p)).exists()]
        here = self.fetched(WHOLE)
        digests = {} if here is None else self._digests(here)
        return [p for p in periods if p in digests]

    def _digests(self, here: Manifest) -> dict[str, str]:
        """Digest of each period's share of the one part, computed once for each version of it."""
        known: dict[str, dict[str, str]] = self._seen["shares"]
        if here.identity not in known:
            # Of earlier versions only what datasets were made from is of use later.
            known = {identity: kept for identity, old in known.items() if (kept := self._in_use(identity, old))}
            self._seen["shares"] = {**known, here.identity: shares(self.source, here)}
            self._save()
        return dict(self._seen["shares"][here.identity])

    def _in_use(self, identity: str, digests: dict[str, str]) -> dict[str, str]:
        return {period: digest for period, digest in digests.items() if self._made_of(period) == identity}

    def _made_of(self, period: str) -> str:
        """Identity of the raw part that the dataset of a period was made from."""
        path = Path(self.plan.path("dataset", source=self.source.name, period=period))
        try:
            return read_manifest(path, kind="dataset", verify="none").inputs["raw"].identity
        except (StoreError, KeyError):
            return ""

    def same_share(self, period: str, identity: str) -> bool:
        """Whether a period is the same in the raw part with ``identity`` and in the one that is here."""
        here = self.fetched(self.source.part_of(period))
        if here is None or here.identity == identity:
            return here is not None
        if not self.whole:
            return False
        then = self._seen["shares"].get(identity, {}).get(period)
        now = self._digests(here).get(period)
        return then is not None and then == now

    def _save(self) -> None:
        write_json(self._seen_file, self._seen)


def _read_seen(file: Path) -> dict[str, Any]:
    try:
        seen = json.loads(file.read_text(encoding="utf-8"))
        return {"versions": dict(seen["versions"]), "shares": dict(seen["shares"])}
    except FileNotFoundError:
        return {"versions": {}, "shares": {}}
    except (OSError, ValueError, KeyError, TypeError):
        logger.warning("%s: not readable, so everything is compared by hash once", file)
        return {"versions": {}, "shares": {}}
