"""The campaign: `tools/fuzz --programs N --seed S [--time SECONDS] [--reduce]`.

Programs are checked by worker processes, so that one which crashes or hangs the compiler is one more finding. The exit
status is 1 where something disagrees; the programs are saved in a folder, reduced ones with `--reduce`.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from fuzzing.subjects import SUBJECTS

HERE = Path(__file__).resolve().parent
PROCESSES = 2


@dataclass
class Finding:
    number: int
    kind: str
    what: str
    detail: str = ""
    text: str = ""


@dataclass
class Campaign:
    subject: str
    seed: int
    programs: int
    seconds: float
    patience: float
    done: int = 0
    told: int = 0  # how many were done when progress was last told
    findings: list[Finding] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def found(self, finding: Finding) -> None:
        self.findings.append(finding)
        print(f"program {finding.number}: {finding.kind}: {finding.what}", flush=True)

    @property
    def late(self) -> bool:
        return time.monotonic() - self.started > self.seconds


@dataclass
class Lane:
    """One worker after the other: a new one goes on behind the program that ended the last."""

    campaign: Campaign
    next: int
    process: subprocess.Popen[str] | None = None
    current: int | None = None
    since: float = 0.0
    errors: IO[str] = field(default_factory=lambda: tempfile.TemporaryFile("w+"))  # noqa: SIM115 - kept by the lane

    def start(self) -> bool:
        c = self.campaign
        if self.next >= c.programs or c.late:
            return False
        self.process = start_worker(c.subject, "check", c.seed, self.next, PROCESSES, c.programs, stderr=self.errors)
        self.since = time.monotonic()
        self.current = None
        return True

    def hear(self, line: str) -> None:
        message = json.loads(line)
        self.since = time.monotonic()
        if "start" in message:
            self.current = message["start"]
            return
        self.current = None
        self.next = message["done"] + PROCESSES
        self.campaign.done += 1
        if "kind" in message:
            self.campaign.found(Finding(message["done"], message["kind"], message["what"], message["detail"]))

    def ended(self, why: str) -> None:
        """The worker is gone; where it was in the middle of a program, that is a finding."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.errors.seek(0)
        errors = self.errors.read()
        self.errors.seek(0)
        self.errors.truncate()
        if self.current is not None:
            what = why or f"exit status {self.process.returncode}"
            self.campaign.found(Finding(self.current, "crash" if not why else "hang", what, errors[-2000:]))
            self.campaign.done += 1
            self.next = self.current + PROCESSES
        elif self.process.returncode not in (0, -9):
            sys.exit(f"a worker does not start:\n{errors}")
        self.process = None


def environment() -> dict[str, str]:
    path = [str(HERE.parent), str(HERE.parent.parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "DFL_CACHE": "0", "PYTHONPATH": os.pathsep.join(p for p in path if p), "PYTHONHASHSEED": "0"}


def start_worker(
    *args: object, stdin: int = subprocess.DEVNULL, stderr: IO[str] | int = subprocess.DEVNULL
) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fuzzing.worker", *map(str, args)]
    return subprocess.Popen(
        command,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env=environment(),
        cwd=HERE.parent.parent,
    )


def run(campaign: Campaign) -> None:
    selector = selectors.DefaultSelector()
    lanes = [Lane(campaign, k) for k in range(PROCESSES)]

    def launch(lane: Lane) -> None:
        if lane.start():
            assert lane.process is not None and lane.process.stdout is not None
            selector.register(lane.process.stdout, selectors.EVENT_READ, lane)

    for lane in lanes:
        launch(lane)
    while selector.get_map():
        for key, _ in selector.select(timeout=1.0):
            lane = key.data
            line = key.fileobj.readline()  # type: ignore[union-attr]
            if line:
                lane.hear(line)
                if not campaign.late:
                    continue
                lane.current = None  # the time is up: what it is at now is neither done nor a finding
            selector.unregister(key.fileobj)
            lane.ended("")
            launch(lane)
        for lane in lanes:
            if lane.process is not None and time.monotonic() - lane.since > campaign.patience:
                selector.unregister(lane.process.stdout)  # type: ignore[arg-type]
                lane.ended(f"no answer in {campaign.patience:.0f} s")
                launch(lane)
        show_progress(campaign)


def show_progress(campaign: Campaign) -> None:
    took = time.monotonic() - campaign.started
    text = f"{campaign.done} of {campaign.programs} programs, {len(campaign.findings)} findings, {took:.0f} s"
    if sys.stderr.isatty():
        print(f"\r{text}", end="", file=sys.stderr, flush=True)
    elif campaign.done >= campaign.told + 100:
        campaign.told = campaign.done
        print(text, file=sys.stderr, flush=True)


def whole_text(campaign: Campaign, number: int) -> str:
    subject = SUBJECTS[campaign.subject]
    return subject.show(subject.make(campaign.seed, number))


def reduced(campaign: Campaign, finding: Finding, seconds: int) -> str:
    """The program of a finding, made small; a crash or a hang is tried in a process of its own each time."""
    if finding.kind not in ("crash", "hang"):
        process = start_worker(campaign.subject, "reduce", campaign.seed, finding.number, seconds)
        out, _ = process.communicate(timeout=seconds + 120)
        if process.returncode == 0:
            message = json.loads(out.splitlines()[-1])
            finding.detail = message["detail"]
            return str(message["program"])
        return whole_text(campaign, finding.number)

    subject = SUBJECTS[campaign.subject]

    def fails(candidate: Any) -> bool:
        process = start_worker(campaign.subject, "one", campaign.seed, finding.number, stdin=subprocess.PIPE)
        try:
            process.communicate(subject.show(candidate), timeout=campaign.patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return finding.kind == "hang"
        return finding.kind == "crash" and process.returncode != 0

    small = subject.reduce(subject.make(campaign.seed, finding.number), fails, seconds)
    return subject.show(small)


def save(campaign: Campaign, folder: Path, reduction: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    seen: Counter[tuple[str, str]] = Counter()
    for finding in sorted(campaign.findings, key=lambda f: f.number):
        seen[finding.kind, finding.what] += 1
        first = seen[finding.kind, finding.what] <= 2
        finding.text = (
            reduced(campaign, finding, reduction) if reduction and first else whole_text(campaign, finding.number)
        )
        path = folder / f"{campaign.seed}-{finding.number}.{SUBJECTS[campaign.subject].suffix}"
        comment = "\n".join(f"# {line}" for line in f"{finding.kind}: {finding.what}\n{finding.detail}".splitlines())
        path.write_text(f"{comment}\n{finding.text}\n", encoding="utf-8")
    for (kind, what), count in seen.most_common():
        print(f"{count:5}  {kind}: {what}")
    print(f"programs are in {folder}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/fuzz", description="Random programs, run in every way, must agree.")
    parser.add_argument("--ssa", action="store_true", help="programs in SSA form instead of text")
    parser.add_argument("--arrays", action="store_true", help="programs that work with arrays")
    parser.add_argument("--programs", type=int, default=200, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    parser.add_argument("--time", type=float, default=float("inf"), metavar="SECONDS", help="stop after this time")
    parser.add_argument("--patience", type=float, default=60.0, metavar="SECONDS", help="for one program")
    parser.add_argument(
        "--reduce", type=int, nargs="?", const=90, default=0, metavar="SECONDS", help="make findings small"
    )
    parser.add_argument("--folder", type=Path, default=Path("fuzz-findings"), help="where findings are saved")
    parser.add_argument("--show", type=int, metavar="NUMBER", help="print a program of this seed, and no more")
    args = parser.parse_args()
    subject = "ssa" if args.ssa else "arrays" if args.arrays else "text"
    campaign = Campaign(subject, args.seed, args.programs, args.time, args.patience)
    if args.show is not None:
        print(whole_text(campaign, args.show))
        return 0
    run(campaign)
    took = time.monotonic() - campaign.started
    print(f"\nfuzz: {campaign.done} programs with seed {args.seed} in {took:.0f} s, {len(campaign.findings)} findings")
    if campaign.findings:
        save(campaign, args.folder, args.reduce)
    return 1 if campaign.findings else 0


if __name__ == "__main__":
    sys.exit(main())
