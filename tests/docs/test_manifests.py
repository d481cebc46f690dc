"""The Dockerfile, the compose file, the Deployment and the workflows: each fits its schema, and they fit each other.

They are not run.
"""

import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from installed import ROOT
from shown_page import blocks_of

PAGE = (ROOT / "docs" / "deployment.md").read_text()
BLOCKS = blocks_of(PAGE)
FILES = {block.text.split("\n")[0].removeprefix("# "): block.text for block in BLOCKS if block.text.startswith("# ")}
[DOCKERFILE] = [block.text for block in BLOCKS if block.kind == "dockerfile"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
INSTRUCTIONS = {
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "ONBUILD"),
    *("RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
}


def read_yaml(name: str) -> Any:
    yaml = pytest.importorskip("yaml", reason="not run: PyYAML is not installed")
    return yaml.safe_load(FILES[name])


def value_of(instruction: str) -> str:
    """Return the value of an instruction of the Dockerfile, which has it once and in one line."""
    [value] = re.findall(rf"^{instruction} (.+)$", DOCKERFILE, re.MULTILINE)
    return str(value)


def problems(schema: str, path: Path) -> str:
    """Return what `check-jsonschema` says against the file."""
    pytest.importorskip("check_jsonschema", reason="not run: check-jsonschema is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def app_of_gunicorn(words: list[str]) -> str:
    """Return the application that a command of gunicorn serves. It fails if gunicorn does not know an option."""
    config = pytest.importorskip("gunicorn.config", reason="not run: gunicorn is not installed")
    program, *options = words
    parsed = config.Config().parser().parse_args(options)
    [app] = parsed.args
    assert (program, parsed.bind) == ("gunicorn", ["0.0.0.0:8000"])
    return str(app)


def extras() -> set[str]:
    [section] = re.findall(
        r"^\[project\.optional-dependencies\]\n(.*?)\n\n",
        (ROOT / "pyproject.toml").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    return set(re.findall(r"^([\w-]+) = \[", section, re.MULTILINE))


def test_the_dockerfile_has_known_instructions_and_begins_with_an_image() -> None:
    dockerfile_parse = pytest.importorskip("dockerfile_parse", reason="not run: dockerfile-parse is not installed")
    parsed = dockerfile_parse.DockerfileParser(fileobj=io.BytesIO(DOCKERFILE.encode()))
    names = [each["instruction"] for each in parsed.structure]

    assert set(names) <= INSTRUCTIONS
    assert names[0] == "FROM"
    assert parsed.baseimage == "python:3.13-slim"


def test_the_image_has_no_key_and_no_root() -> None:
    copied = shlex.split(value_of("COPY"))[:-1]

    assert not re.search(r"^(ADD|ARG|ENV) ", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", value_of("USER"))
    assert {name for name in FILES if name.endswith(".py")} == set(copied)
    assert value_of("EXPOSE") == "8000"


def test_the_image_starts_the_application_of_the_page() -> None:
    words = json.loads(value_of("CMD"))

    assert app_of_gunicorn(words) == "app:app"
    assert "app = " in FILES["app.py"]


def test_what_is_installed_exists() -> None:
    commands = [value_of("RUN"), *re.findall(r"run: (pip install .*)", FILES[".github/workflows/test.yml"])]
    named = [re.findall(r"hmac-guard\[([\w,]+)\]", command) for command in commands]

    assert [len(each) for each in named] == [1, 1]
    assert {extra for [names] in named for extra in names.split(",")} <= extras()


def test_the_compose_file_fits_its_schema(tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text(FILES["compose.yaml"])

    assert problems("compose-spec", path) == ""


def test_the_services_of_the_compose_file_fit_each_other_and_the_application() -> None:
    composed = read_yaml("compose.yaml")
    services = composed["services"]

    assert set(services) == {"app", "postgres", "redis"}
    assert set(services["app"]["depends_on"]) == {"postgres", "redis"}
    assert {name for each in services.values() for name in each.get("secrets", [])} == set(composed["secrets"])
    mounted = {volume.split(":")[0] for each in services.values() for volume in each.get("volumes", [])}
    assert mounted == set(composed["volumes"])
    assert app_of_gunicorn(services["app"]["command"]) == "tenants:app"
    assert set(services["app"]["environment"]) == set(re.findall(r'os\.environ\["(\w+)"\]', FILES["tenants.py"]))
    assert set(services["app"]["secrets"]) == set(re.findall(r'secret\("(\w+)"\)', FILES["tenants.py"]))
    assert not re.search(r"PASSWORD: |://\w+:\w+@", FILES["compose.yaml"])


def check_kubernetes(manifest: Any) -> None:
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="not run: kubernetes-validate is not installed"
    )
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_the_deployment_fits_its_schema() -> None:
    check_kubernetes(read_yaml("deployment.yaml"))


def test_a_deployment_with_an_unknown_field_is_noticed() -> None:
    manifest = read_yaml("deployment.yaml")
    manifest["spec"]["template"]["spec"]["volume"] = []

    with pytest.raises(Exception, match="volume"):
        check_kubernetes(manifest)


def test_the_deployment_fits_the_image_and_the_application() -> None:
    pod = read_yaml("deployment.yaml")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    [mount] = container["volumeMounts"]
    [volume] = pod["volumes"]
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == value_of("USER")
    assert mount["mountPath"] in FILES["app.py"]
    assert "subPath" not in mount
    assert mount["name"] == volume["name"]
    assert volume["secret"]["defaultMode"] == 0o440
    [(name, file)] = re.findall(r"kubectl create secret generic ([\w-]+) --from-file=(\w+)=", PAGE)
    assert name == volume["secret"]["secretName"]
    assert f"{{folder}}/{file}" in FILES["app.py"]
    assert f'exempt=("{container["readinessProbe"]["httpGet"]["path"]}",)' in FILES["app.py"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_workflow_of_the_project_fits_its_schema(path: Path) -> None:
    assert problems("github-workflows", path) == ""


def test_the_workflow_of_the_page_fits_its_schema(tmp_path: Path) -> None:
    path = tmp_path / "test.yml"
    path.write_text(FILES[".github/workflows/test.yml"])

    assert problems("github-workflows", path) == ""


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ("compose-spec", "services:\n  app:\n    comand: [gunicorn]\n"),
        ("github-workflows", "on: push\njobs:\n  test:\n    steps:\n      - run: pytest\n"),
    ],
)
def test_a_file_that_does_not_fit_is_noticed(schema: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)

    assert problems(schema, path) != ""
