"""docs/cli.md: every command with its arguments and options, from the command tree itself.

What a command does is its docstring, what an option means its help; a command that says nothing, or has no example,
is refused.
"""

import inspect
from collections.abc import Iterator
from typing import Any

import typer

from osm.cli.kubernetes.cluster_options import OPTIONS
from osm.cli.main import app

INTRODUCTION = """\
# The command line

Made by `make docs` from the commands in the code; do not edit.

`osm` speaks to a mesh of processes on this machine, or to one in a Kubernetes cluster. Which of them is meant:
`--bus`, if it is given; a cluster, if `--context` or `--kubeconfig` names one; the mesh that runs here, if one does;
else the mesh of the cluster that your kubeconfig points to. In a cluster nothing has to be exposed: `osm` goes
through ports that kubectl forwards, with your own login and permissions.

Every command ends with status 0 if it is done, 1 if things are not as asked, 2 if it was asked wrongly, 124 if time
was over, 130 if interrupted. `--output json` (or `yaml`) is for scripts: it only grows. Colours are left out where the
output is no terminal, and where `NO_COLOR` is set. Errors go to standard error, with the next step.

`osm completion SHELL` prints the script that teaches a shell the commands and options (bash, zsh, fish, powershell);
`osm --install-completion` puts it where the shell you call it from finds it.
"""

DIFFERENCES = """\
## What differs from OSM 1.2

Verbs, flags and output sentences are OSM's, so scripts go on working; `--flag=true` and `--flag=false` are taken as
well. What is not the same:

| OSM 1.2 | here |
|---|---|
"""

DIFFERENT: tuple[tuple[str, str], ...] = (
    (
        "`osm install` has the chart inside and needs no helm",
        "runs the `helm` on your PATH with the chart inside this CLI, so a release is an ordinary one; "
        "`--values`, `--render` are new",
    ),
    (
        "`osm install` is silent until it ends",
        "says what it waits for, and on failure what each pod that is not ready says for itself; so `--verbose` is "
        "taken and changes nothing",
    ),
    (
        "`osm mesh upgrade` leaves CRDs to a pod of the mesh",
        "brings them up to date first, as `osm install` does, and leaves those of other products alone; "
        "`--reuse-values` is new. A mesh of OSM 1.2 is not upgraded in place: "
        "[moving from it](migrating.md) has the steps",
    ),
    (
        "`osm uninstall mesh` leaves Secrets and, without `-a`, the root",
        "takes away all but CRDs and policies; `-a` takes all CRDs, and leaves SMI's if another product brought them",
    ),
    (
        "`osm namespace add` says nothing of pods that run",
        "counts pods without a sidecar, warns of pod security levels that forbid the init container",
    ),
    (
        "`osm policy check-pods` ends with 0",
        "ends with 1 if the pod may not; works on processes too, with their ids",
    ),
    (
        "`osm verify control-plane-health`",
        "`osm check`, which also looks at webhooks, certificates, namespaces, sidecars and policies; `osm "
        "check --pre` before an installation",
    ),
    (
        "`osm verify connectivity`",
        "the same form; `--all` shows the steps that succeed too",
    ),
    (
        "`osm proxy get` reaches Envoy's whole admin interface",
        "the sidecar serves pages that change nothing; `osm proxy set` does not exist, since nobody can "
        "change an Envoy past the mesh",
    ),
    (
        "`osm mesh list -p`, `osm uninstall mesh -p` and `--ca-bundle-secret-name`",
        "not taken: versions are read from the API server, and the root that the mesh has made goes with it",
    ),
    (
        "`osm support error-info`",
        "errors are sentences with the next step, and have no numbers",
    ),
    (
        "`osm alpha certificate rotate`",
        "not there yet",
    ),
    (
        "`osm dashboard`",
        "the chart installs no Grafana",
    ),
    (
        "`osm policy check-conflicts`",
        "not there: of several IngressBackends for one port each admits its own callers, so they do not conflict",
    ),
    (
        "`install.kind: managed` in the configuration file",
        "not read; `install.namespace` is",
    ),
)
"""In OSM 1.2, and here."""


def render() -> str:
    tree: Any = typer.main.get_command(app)
    sections = [INTRODUCTION, _everywhere(tree), *_commands(tree, "osm"), _differences()]
    return "\n".join(sections)


def _differences() -> str:
    return DIFFERENCES + "".join(f"| {there} | {here} |\n" for there, here in DIFFERENT)


def _commands(group: Any, path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        full = f"{path} {name}"
        if hasattr(command, "commands"):
            yield from _commands(command, full)
        else:
            yield _section(command, full)


def _section(command: Any, path: str) -> str:
    text = inspect.cleandoc(command.help or "")
    said, _, example = text.partition("Example: ")
    if not said or not example:
        raise ValueError(f"{path}: a command needs a docstring that ends with an example")
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and each.name != "help"]
    shared = {name for name, _ in OPTIONS}
    own = [each for each in options if each.name not in shared]
    usage = " ".join([path, *(["[OPTIONS]"] if options else []), *map(_argument, arguments)])
    lines = [f"## {path}", "", f"`{usage}`", "", said.strip(), ""]
    rows = [*((f"`{_metavar(each)}`", each) for each in arguments), *((_spelling(each), each) for each in own)]
    if rows:
        lines += ["| argument or option | what it means | default |", "|---|---|---|"]
        lines += [f"| {name} | {_cell(each.help or '')} | {_default(each)} |" for name, each in rows]
        lines.append("")
    if len(own) < len(options):
        lines += ["And [the options of every command on a cluster](#on-every-command-that-may-reach-a-cluster).", ""]
    lines += [f"Example: `{' '.join(example.split())}`", ""]
    return "\n".join(lines)


def _everywhere(tree: Any) -> str:
    lines = ["## On every command that may reach a cluster", "", "| option | what it means |", "|---|---|"]
    shared = [name for name, _ in OPTIONS]
    found = {each.name: each for each in tree.commands["status"].params if each.name in shared}
    for name in shared:
        option = found[name]
        variable = f" (`{option.envvar}`)" if option.envvar else ""
        lines.append(f"| {_spelling(option)} | {_cell(option.help)}{variable} |")
    return "\n".join([*lines, ""])


def _metavar(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _argument(argument: Any) -> str:
    name = _metavar(argument)
    name = name if argument.nargs == 1 or name.endswith("...") else f"{name}..."
    return name if argument.required else f"[{name}]"


def _spelling(option: Any) -> str:
    names = [*option.opts, *option.secondary_opts]
    return ", ".join(f"`{name}`" for name in sorted(names, key=lambda each: (each.startswith("--"), names.index(each))))


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required:
        return "required"
    if value in (None, "", (), [], 0) or value is False or callable(value):
        return ""
    return "on" if value is True else f"`{getattr(value, 'value', value)}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
