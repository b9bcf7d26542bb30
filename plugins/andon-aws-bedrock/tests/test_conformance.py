"""andon-aws-bedrock and the conformance kit, with an API key and with signatures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import andon_aws_bedrock
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.providers.bedrock import BedrockProvider

ABILITIES = ALL - {
    Ability.HEALTH,
    Ability.LOGPROBS,
    Ability.MODEL_LIST,
    Ability.RAW_PROMPT,
    Ability.SEED,
}


class TestBedrockWithAKey(BackendConformance):
    plugin = andon_aws_bedrock
    backend = "aws-bedrock"
    provider = BedrockProvider()
    abilities = ABILITIES
    environment: ClassVar[Mapping[str, str]] = {"AWS_EC2_METADATA_DISABLED": "true"}


class TestBedrockWithSignatures(BackendConformance):
    plugin = andon_aws_bedrock
    backend = "aws-bedrock"
    variant = "signed"
    provider = BedrockProvider()
    abilities = ABILITIES
    options: ClassVar[Mapping[str, Any]] = {"region": "eu-west-1", "access_key_id": "AKIDEXAMPLE"}
    key_option = "secret_access_key"
    key_is_sent = False
