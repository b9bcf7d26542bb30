"""Settings: the nearest source wins, and a mistake is named with its place."""

from decimal import Decimal
from pathlib import Path

import pytest

from andon import Client, PrivacyTier, Settings, SettingsError
from andon.settings import load, override


def _load(tmp_path: Path, near: str = "", far: str = "", **environment: str) -> Settings:
    (tmp_path / "andon.toml").write_text(near, encoding="utf-8")
    user_file = tmp_path / "user.toml"
    user_file.write_text(far, encoding="utf-8")
    return load(directory=tmp_path, user_file=user_file, environment=environment)


def test_without_any_source_the_defaults_hold(tmp_path: Path) -> None:
    empty = tmp_path / "nothing"
    assert load(directory=empty, user_file=empty / "x", environment={}) == Settings()


def test_the_nearest_source_wins(tmp_path: Path) -> None:
    far = 'privacy = "private"\ndaily_budget_usd = "1.10"\nmax_request_cost_usd = 1'
    settings = _load(
        tmp_path, 'privacy = "sovereign"\ndaily_budget_usd = 5', far, ANDON_DAILY_BUDGET_USD="7.5"
    )
    assert settings.privacy is PrivacyTier.SOVEREIGN
    assert settings.daily_budget_usd == Decimal("7.5")
    assert settings.max_request_cost_usd == 1
    assert override(settings, privacy="standard").privacy is PrivacyTier.STANDARD


def test_tables_of_two_files_are_joined(tmp_path: Path) -> None:
    settings = _load(
        tmp_path, '[endpoints.ollama]\nbase_url = "http://a"', "[endpoints.llama-cpp]\nn_ctx = 512"
    )
    assert settings.endpoints == {"ollama": {"base_url": "http://a"}, "llama-cpp": {"n_ctx": 512}}


def test_prices_are_exact(tmp_path: Path) -> None:
    settings = _load(tmp_path, '[prices."x:m"]\ninput = "0.1"\noutput = "0.3"')
    [row] = settings.prices["x:m"]
    assert row.input == Decimal("0.1")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('privacy = "secret"', "privacy.*'secret'"),
        ("budget = 1", "no setting 'budget'.*daily_budget_usd"),
        ('[prices."x:m"]\ninput = "1"', r"prices\.x:m\.output"),
        ("privacy = x\n", r"andon\.toml cannot be read.*line 1"),
        ('daily_budget_usd = "ten"', "daily_budget_usd.*'ten'"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        _load(tmp_path, text)
    assert "andon.toml" in str(caught.value)


def test_a_mistake_in_the_environment_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="ANDON_PRIVACY"):
        _load(tmp_path, ANDON_PRIVACY="secret")


def test_a_client_without_discovery_reads_no_file_and_no_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "andon.toml").write_text('privacy = "sovereign"', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANDON_DAILY_BUDGET_USD", "1")
    assert Client(discover=False).settings == Settings()
    assert Client(settings=Settings()).settings == Settings()
    assert Client().settings.privacy is PrivacyTier.SOVEREIGN


def test_a_senseless_argument_is_refused() -> None:
    with pytest.raises(SettingsError, match="privacy"):
        Client(discover=False, privacy="secret")
