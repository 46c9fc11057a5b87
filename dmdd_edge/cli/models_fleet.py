"""``dmdd-edge models push``, ``pull`` and ``list --remote``: versions to and from the store of a fleet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from dmdd_edge.cli.options import JsonOutput, QuietOutput
from dmdd_edge.options import Option, Options, Rule
from dmdd_edge.options.groups import AllowLossOption, ModelsDirOption

if TYPE_CHECKING:
    from dmdd_edge.fleet.pull import Pulled
    from dmdd_edge.fleet.push import Pushed
    from dmdd_edge.fleet.signature import PublicKey

Row = dict[str, Any]


def check_address(url: str) -> None:
    """See ``dmdd_edge.fleet.address``, which is loaded when there is an address."""
    from dmdd_edge.fleet import address

    address.check_address(url)


@dataclass(frozen=True, kw_only=True)
class PublicKeyOption(Options):
    """Who must have signed a version."""

    public_key: Annotated[
        tuple[str, ...],
        Option(
            "Public key of minisign (the line that begins with RW, or its file); a version that it did not "
            "sign is refused. Repeat it for several keys.",
            metavar="KEY",
            example='["RWQ..."]',
        ),
    ] = ()


@dataclass(frozen=True, kw_only=True)
class _StoreOptions(PublicKeyOption, QuietOutput, JsonOutput, ModelsDirOption):
    """Which versions move, and where the store is."""

    url: Annotated[
        str,
        Option(
            "The store: a folder, file://, http(s)://, s3://, gs://, or what else fsspec knows.",
            argument=True,
            metavar="URL",
            check=check_address,
        ),
    ]
    category: Annotated[str | None, Option("Category; default: all.", folders_of=("models_dir",))] = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            ("version",),
            lambda values: values["category"] is not None,
            "names a version of one category, and none is named",
            "add --category",
        ),
    )


@dataclass(frozen=True, kw_only=True)
class PushOptions(_StoreOptions):
    """What is pushed."""

    version: Annotated[
        str | None, Option("Version, or the start of its name; default: the one in use here.")
    ] = None
    use: Annotated[
        bool,
        Option(
            "Make CURRENT of the store name the version that is in use here, so that a pull takes it.",
            name="--use/--no-use",
        ),
    ] = True
    sign_key: Annotated[
        Path | None,
        Option("Secret key of minisign: sign the manifest before it is pushed.", metavar="FILE"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class PullOptions(AllowLossOption, _StoreOptions):
    """What is pulled."""

    version: Annotated[
        str | None, Option("Version, or the start of its name; default: the one that CURRENT names.")
    ] = None
    use: Annotated[bool, Option("Put the version to use, once it is verified.", name="--use/--no-use")] = True


def push(options: PushOptions) -> None:
    """Bring versions to the store of a fleet: of each category the one in use, or one that is named.

    A version becomes visible when all of its files are there, and is never overwritten. CURRENT of the store
    then names it, if it is in use here.
    """
    from dmdd_edge.fleet.address import open_to_write
    from dmdd_edge.fleet.local import local_offer
    from dmdd_edge.fleet.push import push as bring
    from dmdd_edge.fleet.signing import SecretKey
    from dmdd_edge.messages.addresses import redacted
    from dmdd_edge.messages.commands import command
    from dmdd_edge.workspace import find_bundle, list_bundles

    models_dir = options.models_dir
    keys = public_keys(options)
    secret = None if options.sign_key is None else SecretKey(options.sign_key)
    if options.category is not None or not list_bundles(models_dir):
        find_bundle(options.category, None, models_dir)  # which says what there is
    target = open_to_write(options.url)

    def one(category: str, work: Any) -> tuple[Row, list[str]]:
        offer, in_use = local_offer(models_dir, category, options.version, keys, secret)
        pushed = bring(target, models_dir, offer, use=options.use and in_use, work=work)
        return _pushed(pushed, in_use, None if secret is None else secret.public.id)

    names = [options.category] if options.category is not None else list_bundles(models_dir)
    _each(names, "sending", one, options)
    _next(command("models", "pull", redacted(options.url), category=options.category))


def pull(options: PullOptions) -> None:
    """Take versions from the store of a fleet, verify them, and put them to use.

    Every file must have the hash in the manifest before a version becomes visible; the version in use stays
    until then. A version that loses a part of the challenge set is refused, unless --allow-loss is given.
    """
    from dmdd_edge.cli.version_switch import calibrated_before, next_after_switch
    from dmdd_edge.errors import FleetError
    from dmdd_edge.fleet.address import open_store
    from dmdd_edge.fleet.pull import pull as take
    from dmdd_edge.messages.addresses import redacted
    from dmdd_edge.messages.commands import command
    from dmdd_edge.runtime.challenge.gate import GateOptions, gate_version

    models_dir, keys = options.models_dir, public_keys(options)
    store = open_store(options.url)
    names = [options.category] if options.category is not None else list(store.versions())
    if not names:
        first = command("models", "push", redacted(options.url))
        raise FleetError(f"{store.name} has no complete version.", f"Push one first: {first}")
    nexts: list[str] = []

    def one(category: str, work: Any) -> tuple[Row, list[str]]:
        left = calibrated_before(models_dir, category)
        lines: list[str] = []
        gate = GateOptions(options.allow_loss, say=lines.append)
        try:
            pulled = take(
                store,
                category,
                models_dir,
                version=options.version,
                use=options.use,
                keys=keys,
                accept=lambda chosen: gate_version(chosen, "pull", gate),
                work=work,
            )
        except Exception:
            for line in lines:
                work.say(line)
            raise
        switched = pulled.in_use and pulled.before != pulled.bundle.version
        kept = left if switched and not _calibrated(pulled) else None
        if kept is not None:
            lines.append(kept.describe())
        if pulled.in_use:
            nexts.append(next_after_switch(category, models_dir, kept))
        else:
            nexts.append(command("models", "use", category, pulled.bundle.version, models_dir=models_dir))
        row, own = _pulled(pulled)
        return row, [*own, *lines]

    _each(names, "fetching", one, options)
    _next(nexts[0] if len(names) == 1 else command("models", models_dir=models_dir))


def list_remote(url: str, models_dir: Path, as_json: bool) -> None:
    """List the versions of a store, and which of them are here."""
    from dmdd_edge.bundle.versions import list_versions
    from dmdd_edge.cli.console import console, print_json
    from dmdd_edge.fleet.address import open_store
    from dmdd_edge.fleet.offer import current_of
    from dmdd_edge.messages.addresses import redacted
    from dmdd_edge.messages.commands import command

    store = open_store(url)
    rows = []
    for category, versions in store.versions().items():
        current = current_of(store, category)
        here = {version.name: version.in_use for version in list_versions(models_dir, category)}
        for version in versions:
            in_use = here.get(version, False)
            row = {"category": category, "version": version, "current": version == current}
            rows.append({**row, "here": version in here, "in_use_here": in_use})
    if as_json:
        print_json(rows)
    elif not rows:
        console.print(f"There is no complete version in {store.name}.", markup=False)
        _next(command("models", "push", redacted(url)))
    else:
        console.print(_table(rows))
        _next(command("models", "pull", redacted(url), models_dir=models_dir))


def public_keys(options: PublicKeyOption) -> list[PublicKey]:
    """The keys of an option, read.

    Raises:
        DmddError: one is not a public key of minisign.
    """
    from dmdd_edge.fleet.signature import public_key

    return [public_key(text) for text in options.public_key]


def _each(
    names: list[str],
    doing: str,
    one: Callable[[str, Any], tuple[Row, list[str]]],
    options: _StoreOptions,
) -> None:
    """Do the work for each category; the error of one does not stop the others.

    Raises:
        DmddError: the error of the only one.
        Exit: with code 1, when there are several and one had an error.
    """
    from dmdd_edge.cli.console import complain, console, print_json
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.errors import DmddError
    from dmdd_edge.messages.addresses import redacted
    from dmdd_edge.messages.phases import Cost

    rows: list[Row] = []
    lines: list[str] = []
    failed = 0
    with Work(quiet=options.quiet) as work:
        # One estimate for all; a category without anything new is a phase that ends at once.
        work.expect([Cost(f"{doing} {name}", 1.0) for name in names])
        for name in names:
            try:
                row, own = one(name, work)
            except DmddError as error:
                if len(names) == 1:
                    raise
                failed += 1
                rows.append({"category": name, "error": redacted(error.message), "fix": redacted(error.fix)})
                complain(redacted(f"{name}: {error.message}"), redacted(error.fix))
                continue
            work.update(f"{doing} {name}", 1.0, 1.0)
            rows.append({**row, "error": None})
            lines += own
    if options.json:
        print_json(rows)
    for line in lines:
        console.print(line, markup=False)
    if failed:
        complain(f"{failed} of {len(names)} categories failed; what they had in use is unchanged.")
        raise typer.Exit(1)


def _table(rows: list[Row]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("category", "version", "current", "here"):
        table.add_column(column, no_wrap=True)
    for row in rows:
        here = "in use" if row["in_use_here"] else "yes" if row["here"] else ""
        table.add_row(row["category"], row["version"], "yes" if row["current"] else "", here)
    return table


def _pushed(pushed: Pushed, in_use: bool, key: str | None) -> tuple[Row, list[str]]:
    category, version = pushed.bundle.category, pushed.bundle.version
    if pushed.current:
        state = "CURRENT names it" + ("" if pushed.before == version else _before(pushed.before))
    elif in_use:
        state = f"CURRENT stays at {pushed.before or 'no version'}"
    else:
        state = f"it is not in use here, so CURRENT stays at {pushed.before or 'no version'}"
    row = {
        "category": category,
        "version": version,
        "current": pushed.current,
        "before": pushed.before,
        "sent_files": pushed.files,
        "sent_bytes": pushed.sent,
        "signed_by": key,
    }
    signed = f"; signed by {key}" if key is not None else ""
    return row, [f"{category}: {version} {_moved('sent', pushed.files, pushed.sent)}; {state}{signed}"]


def _pulled(pulled: Pulled) -> tuple[Row, list[str]]:
    category, version = pulled.bundle.category, pulled.bundle.version
    if pulled.in_use:
        state = "is in use" + ("" if pulled.before == version else _before(pulled.before))
    else:
        state = f"is here; in use stays {pulled.before or 'no version'}"
    signed = f"; signed by {pulled.signed.key_id}" if pulled.signed is not None else ""
    row = {
        "category": category,
        "version": version,
        "in_use": pulled.in_use,
        "before": pulled.before,
        "fetched_files": pulled.files,
        "fetched_bytes": pulled.fetched,
        "signed_by": None if pulled.signed is None else pulled.signed.key_id,
    }
    lines = [f"{category}: {version} {state}; {_moved('fetched', pulled.files, pulled.fetched)}{signed}"]
    if pulled.older:
        lines.append(f"{category}: it is older than {pulled.before}, which was in use before")
    return row, lines


def _before(version: str | None) -> str:
    return f" (before: {version})" if version is not None else ""


def _moved(verb: str, files: int, count: int) -> str:
    if not files:
        return f"nothing to be {verb}"
    return f"{files} file{'s' * (files != 1)} {verb}, {count / 2**20:.1f} MiB"


def _calibrated(pulled: Pulled) -> bool:
    from dmdd_edge.bundle.calibration import calibration_path

    return calibration_path(pulled.bundle).exists()


def _next(command: str) -> None:
    from dmdd_edge.cli.console import next_step

    next_step(command)
