"""Amazon Bedrock as an andon backend."""

from __future__ import annotations

from collections.abc import Iterable

from andon.backends.http_backend import http_backend_spec
from andon.hookspecs import hookimpl
from andon.specs import BackendSpec, Locality, ModelCard
from andon.wire.bedrock_converse import bedrock_dialect
from andon.wire.endpoint import EndpointSpec
from andon_aws_bedrock.authorizer import make_authorizer
from andon_aws_bedrock.chain import find_base_url
from andon_aws_bedrock.settings import BASE_URL_VARIABLES, KEY_VARIABLE, OPTIONS

ENDPOINT = EndpointSpec(
    base_url="",
    locality=Locality.PRIVATE,  # an account of one's own, and its contract
    own_hosts=(".amazonaws.com", ".amazonaws.com.cn", ".api.aws"),
    key_variables=(KEY_VARIABLE,),
    base_url_variables=BASE_URL_VARIABLES,
    find_base_url=find_base_url,
    authorizer=make_authorizer,
    options=OPTIONS,
    docs="https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html",
)
MODEL = ModelCard(
    name="us.anthropic.claude-sonnet-5-5",
    backends=("aws-bedrock",),
    capabilities=frozenset({"chat", "tools", "images", "json_schema", "reasoning"}),
)


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``aws-bedrock``."""
    return [
        http_backend_spec(
            "aws-bedrock", ENDPOINT, bedrock_dialect, summary="Amazon Bedrock", models=(MODEL,)
        )
    ]
