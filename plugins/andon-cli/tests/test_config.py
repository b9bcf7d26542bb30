"""``andon config``: mistakes at their places, what is in force and why, and the schema."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.errors import SettingsError
from andon.settings import load
from andon_cli.config.places import find_places
from andon_cli.config.schema import settings_schema

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "andon.schema.json"


@pytest.fixture
def check(invoke: Any, tmp_path: Path) -> Any:
    """Check a file, and return the findings."""

    def check(text: str) -> list[dict[str, Any]]:
        file = tmp_path / "andon.toml"
        file.write_text(text, encoding="utf-8")
        done = invoke("config", "check", "--json", str(file))
        found: list[dict[str, Any]] = json.loads(done.stdout)
        errors = any(finding["severity"] == "error" for finding in found)
        assert (done.exit_code, done.stderr) == (2 if errors else 0, "")
        return found

    return check


# -- config check ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ('ledger = "sqlite:///x"\nprivcy = "sovereign"', 2, 1, "did you mean 'privacy'?"),
        ('privacy = "secret"', 1, 11, "'sovereign', 'private' or 'standard'"),
        ("truncation_block = 0", 1, 20, "must be 1 or more"),
        ("warning_threshold = 2.5", 1, 21, "warning_threshold"),
        ('time_zone = "Europe/Roma"', 1, 13, "Europe/Roma"),
        ("[budgets.team]\nlimt_usd = 5\nlimit_usd = 6", 2, 1, "did you mean 'limit_usd'?"),
        ('[budgets.team]\nlimit_usd = 6\nperiod = "year"', 3, 10, "'day', 'month' or 'ever'"),
        ("[budgets.all]\nlimit_usd = 5", 1, 10, "choose another name"),
        ('[prices."stub:a"]\ninput = 1\noutput = "much"', 3, 10, "decimal"),
        ('prices."stub:a" = [{input = 1, outptu = 2, output = 3}]', 1, 32, "'output'"),
        ('[prices."stub:a"]\ninput = 1', 1, 9, "output is missing"),
        ("[routes.best]\nmodels = []", 2, 10, "leads nowhere"),
        ('[routes.best]\nmodels = ["stub:echo",\n  "stbu:echo"]', 3, 3, "did you mean 'stub'?"),
        ('[routes.best]\nmodels = ["echo"]', 2, 11, "backend:model"),
        ('[routes.best]\nmodels = ["stub:x"]\nmax_attempts = 0', 3, 16, "max_attempts"),
        ('[endpoints.stbu]\nbase_url = "x"', 1, 12, "did you mean 'stub'?"),
        ('[endpoints.mine]\nbackend = "stbu"', 2, 11, "did you mean 'stub'?"),
        ('[endpoints.keyed]\nbase_url = "http://x"\nbase_ulr = "y"', 3, 1, "'base_ulr'"),
        ("[endpoints.keyed]\nmax_retries = -1", 2, 15, "max_retries"),
        ('[endpoints.keyed]\nbase_url = "localhost"', 2, 12, "must be an address"),
        ('[routing]\nstrategy = "spilover"', 2, 12, "spillover"),
        ('[routing]\nstrategy = "spillover"\nslots = {stub = 0}', 3, 17, "from 1 on"),
        ('[network]\nallow_cidrs = ["10.0.0.0/8",\n"300.0.0.0/8"]', 3, 1, "300.0.0.0/8"),
        ('prices_file = "none.json"', 1, 15, "cannot be read"),
        ('ledger = "redus://x"', 1, 10, "redus"),
        ('observers = ["andon_stub", "hello"]', 1, 28, "no plugin 'hello'"),
        ("[budgets\n", 1, 9, "Expected ']'"),
        ('privacy = "private', 1, 19, "Unterminated"),
        ('privacy = """private', 1, 21, "Unterminated"),
    ],
)
def test_a_mistake_is_shown_where_it_stands(
    check: Any, text: str, line: int, column: int, words: str
) -> None:
    errors = [found for found in check(text) if found["severity"] == "error"]
    assert [(found["line"], found["column"]) for found in errors] == [(line, column)], errors
    assert words in errors[0]["message"]


def test_every_mistake_is_shown_in_the_order_of_the_lines(check: Any) -> None:
    found = check(
        'unknown_price = "guess"\nobservers = ["x"]\n[endpoints.nope]\na = 1\n'
        '[routes.r]\nmodels = ["nope:x", "other:x"]\n[prices."later:x"]\ninput = 1\noutput = 1\n'
    )
    places = [(one["line"], one["severity"]) for one in found]
    assert places == [
        (1, "error"), (2, "error"), (3, "error"), (6, "error"), (7, "warning"),
    ]  # fmt: skip
    assert found[3]["setting"] == "routes.r.models[1]"


def test_a_key_that_is_missing_is_a_warning(check: Any, run: Any, tmp_path: Path) -> None:
    [found] = check("[endpoints.keyed]\nmax_retries = 1")
    assert (found["severity"], found["line"]) == ("warning", 1)
    assert "STUB_API_KEY" in found["message"]
    done = run("config", "check", str(tmp_path / "andon.toml"), STUB_API_KEY="k")
    assert done.stdout.startswith("nothing is wrong")


def test_a_secret_in_a_wrong_place_is_not_shown(check: Any) -> None:
    text = '[endpoints.keyed]\napi_key = "sk-hidden"\napi_keys = "sk-hidden"\n'
    found = check(text + 'base_url = "https://me:sk-hidden@host"')
    assert found and "sk-hidden" not in json.dumps(found)


def test_variables_are_checked_where_no_file_is_named(run: Any) -> None:
    done = run("config", "check", ANDON_DAILY_BUDGET_USD="ten")
    assert done.returncode == 2
    assert done.stdout.startswith("ANDON_DAILY_BUDGET_USD: daily_budget_usd: error: ")


def test_what_is_right_is_said_to_be_right(run: Any, tmp_path: Path) -> None:
    assert "the defaults hold" in run("config", "check").stdout
    file = tmp_path / "right.toml"
    file.write_text('[routes.best]\nmodels = ["stub:echo", "dummy:echo"]\n')
    done = run("config", "check", str(file))
    assert (done.returncode, done.stdout) == (0, f"nothing is wrong ({file})\n")


def test_a_file_that_is_not_there(run: Any) -> None:
    done = run("config", "check", "none.toml")
    assert done.returncode == 2 and "cannot be read" in done.stdout


def test_what_the_check_passes_is_read_and_what_it_refuses_is_not(
    check: Any, tmp_path: Path
) -> None:
    for text in ('privacy = "private"', "privacy = 1", "[prices]\na = 1", "x = 1", "[budgets.a]"):
        errors = check(text)
        try:
            load(directory=tmp_path, user_file=tmp_path / "none", environment={})
        except SettingsError:
            assert errors, text
        else:
            assert not errors, text


def test_other_commands_point_to_the_check(run: Any, tmp_path: Path) -> None:
    (tmp_path / "home" / "andon.toml").write_text("truncation_block = 0")
    assert "andon config check" in run("models").stderr


# -- places ---------------------------------------------------------------------------------------

names = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,4}", fullmatch=True),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=4),
)
texts = st.sampled_from(
    ['"a # b"', "'c ] d'", '"\\" } ,"', '"""x\n"y" = [1"""', "'''\nz'''", '""""q"""', '"""w"""""']
)
plain = st.sampled_from(["1", "-2.5e3", "true", "1979-05-27T07:32:00Z", "0xff", "inf"]) | texts
blanks = st.sampled_from(["", " ", "\t"])
lines = st.sampled_from(["", "\n", ' # ] } = "\n  ', "\n\n"])


def written_key(name: str) -> str:
    bare = bool(name) and all(c.isascii() and (c.isalnum() or c in "_-") for c in name)
    return name if bare else json.dumps(name, ensure_ascii=False)


@st.composite
def values(draw: Any, depth: int = 2) -> str:
    kind = draw(st.sampled_from(["plain", "list", "table"] if depth else ["plain"]))
    if kind == "plain":
        return str(draw(plain))
    inner = draw(st.lists(values(depth=depth - 1), max_size=3))
    if kind == "list":
        items = "".join(f"{draw(lines)}{item}{draw(lines)}," for item in inner)
        return f"[{items}{draw(lines)}]"
    keys = draw(st.lists(names, unique=True, min_size=len(inner), max_size=len(inner)))
    pairs = [
        f"{written_key(key)}{draw(blanks)}={draw(blanks)}{item}"
        for key, item in zip(keys, inner, strict=True)
    ]
    return "{" + ", ".join(pairs) + "}"


@st.composite
def documents(draw: Any) -> str:
    text = ""
    for table in ["", *draw(st.lists(names, unique=True, max_size=3))]:
        if table or text:
            double = draw(st.booleans())
            opening, closing = ("[[", "]]") if double else ("[", "]")
            repeats = draw(st.integers(1, 2)) if double else 1
            header = f"{opening}{draw(blanks)}{written_key(table)}.sub{draw(blanks)}{closing}"
        else:
            repeats, header = 1, ""
        for _ in range(repeats):
            keys = draw(st.lists(names, unique=True, max_size=3))
            pairs = [
                f"{draw(blanks)}{written_key(key)}.{'x' * number} = {draw(values())} # {number}\n"
                for number, key in enumerate(keys, 1)
            ]
            # Above the tables, where their names are not taken.
            text += header + "\n" + draw(lines) + "\n" + ("".join(pairs) if header else "")
    return text


def leaves(value: Any, way: tuple[str | int, ...] = ()) -> Any:
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in entries:
        if isinstance(inner, dict | list):
            yield from leaves(inner, (*way, name))
        yield (*way, name), inner


@given(documents())
def test_everything_in_a_file_is_found_where_it_is(text: str) -> None:
    places = find_places(text)
    for way, value in leaves(tomllib.loads(text)):
        slice_ = places.slice(way)
        if slice_ is not None:
            [found] = tomllib.loads(f"x = {slice_}").values()
            assert found == value
        else:
            assert isinstance(value, dict | list), way
        span = places.key(way)
        assert span is not None
        if isinstance(way[-1], str):
            line = text.split("\n")[span.line - 1]
            assert line[span.column - 1 :][: span.length] == written_key(way[-1])


# -- config show ----------------------------------------------------------------------------------


def test_what_is_in_force_and_where_it_comes_from(
    run: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    folder = Path(environment["XDG_CONFIG_HOME"]) / "andon"
    folder.mkdir(parents=True)
    (folder / "andon.toml").write_text(
        'privacy = "private"\nwarning_threshold = 0.5\n[budgets]\na = {limit_usd = 1}\n'
        "b = {limit_usd = 2}\n"
    )
    (tmp_path / "home" / "andon.toml").write_text(
        'privacy = "standard"\n[budgets.b]\nlimit_usd = 3\n[failover]\nmax_attempts = 2\n'
    )
    done = run("config", "show", "--json", ANDON_MAX_REQUEST_COST_USD="0.5")
    found = json.loads(done.stdout)
    user = str(folder / "andon.toml")
    for setting, value, source in [
        ("privacy", "standard", "andon.toml:1"),
        ("warning_threshold", "0.5", f"{user}:2"),
        ("budgets.a.limit_usd", "1", f"{user}:4"),
        ("budgets.b.limit_usd", "3", "andon.toml:3"),
        ("failover.max_attempts", "2", "andon.toml:5"),
        ("failover.mode", "continue", "default"),
        ("max_request_cost_usd", "0.5", "ANDON_MAX_REQUEST_COST_USD"),
        ("truncation_block", "1", "default"),
    ]:
        assert found[setting] == {"value": value, "from": source}
    assert "spend.db" in found["ledger"]["value"]
    assert run("config", "show").stdout.startswith("SETTING ")


def test_no_secret_is_shown(run: Any, tmp_path: Path) -> None:
    (tmp_path / "home" / "andon.toml").write_text(
        'ledger = "redis://me:secret1@x/0"\n[endpoints.stub]\napi_key = "secret2"\n'
        'headers = {x-auth = "secret3"}\nwhatever = "secret4"\nbase_url = "http://u:secret5@host/v1"\n'
        'proxy = "http://host/?api_key=secret6"\nmax_retries = 2\n'
        '[routing]\nstrategy = "spillover"\n'
    )
    done = run("config", "show")
    assert (done.returncode, done.stderr) == (0, "")
    assert "secret" not in done.stdout
    rows = dict(line.split()[:2] for line in done.stdout.splitlines())
    assert rows["endpoints.stub.base_url"] == "http://***@host/v1"
    assert rows["endpoints.stub.api_key"] == rows["endpoints.stub.headers.x-auth"] == "***"
    assert rows["endpoints.stub.max_retries"] == "2"


# -- config schema --------------------------------------------------------------------------------


def test_the_schema_in_the_reference_is_the_current_one(invoke: Any) -> None:
    if not REFERENCE.parent.is_dir():
        pytest.skip("outside the repository there is no reference")
    shown = invoke("config", "schema").stdout
    assert json.loads(shown) == settings_schema()
    advice = f"write it anew: andon config schema > {REFERENCE.name}"
    assert REFERENCE.read_text(encoding="utf-8") == shown, advice


def test_everything_in_the_schema_is_described() -> None:
    schema = settings_schema()
    for name, table in (("Settings", schema), *schema["$defs"].items()):
        for entry, told in table.get("properties", {}).items():
            assert told["description"].endswith("."), (name, entry)
    assert "null" not in json.dumps(schema)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ('privacy = "private"\n[prices."a:b"]\ninput = "1.5"\noutput = 2\n', True),
        ('[[prices."a:b"]]\ninput = 1\noutput = 2\nvalid_from = "2026-01-01"\n', True),
        ('[endpoints.groq]\nbase_url = "https://x"\nregion = "eu"\n', True),
        ('[routing]\nstrategy = "mine"\nwhatever = 1\n', True),
        ('[routes.r]\nmodels = ["a:b"]\nhedge_after = 1.5\n', True),
        ("privcy = 1\n", False),
        ('privacy = "secret"\n', False),
        ("[budgets.x]\nlimit_usd = true\n", False),
        ("[routes.r]\nmax_attempts = 2\n", False),
        ("[endpoints.groq]\nmax_retries = -1\n", False),
    ],
)
def test_editors_judge_by_the_schema_as_andon_does(text: str, right: bool) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(settings_schema())
    assert validator.is_valid(tomllib.loads(text)) is right
