"""Builds the package for ``pip install``, with the standard library alone: so it installs where there is no network,
and where setuptools is missing or too old to make a wheel by itself (before 70.1 it needs another package for that).

Where there is a C compiler and Python's headers, the wheel has the C reader as an extension; elsewhere it does without.
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import shlex
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent
_TAG = "py3-none-any"
_TAG_WITH_EXTENSION = f"cp311-abi3-linux_{platform.machine()}"
_EXTENSION = "_c_reader.abi3.so"
_C_SOURCES = ("consent_reader.c", "consent_reader.h")


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    return project


def _metadata(project: dict[str, Any]) -> str:
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {project['name']}",
        f"Version: {project['version']}",
        f"Summary: {project['description']}",
        f"Requires-Python: {project['requires-python']}",
        f"License: {project['license']['text']}",
        *(f"Classifier: {classifier}" for classifier in project["classifiers"]),
        "Description-Content-Type: text/markdown",
        "",
        (_ROOT / project["readme"]).read_text(),
    ]
    return "\n".join(lines)


def _record_line(name: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}"


def _c_folder() -> Path:
    """Where the C reader is: beside this package, or within it where the package was taken along alone."""
    beside = _ROOT.parent / "c"
    return beside if (beside / _C_SOURCES[0]).is_file() else _ROOT / "packaging" / "c"


def build_extension(folder: str | os.PathLike[str]) -> Path | None:
    """Makes the C reader an extension of this interpreter, in ``folder``. None where that cannot be done, which is said;
    ``CONSENTD_WITHOUT_EXTENSION=1`` says that it is not wanted."""
    if sys.platform != "linux" or os.environ.get("CONSENTD_WITHOUT_EXTENSION") == "1":
        return None
    target = Path(folder) / _EXTENSION
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    options = ["-O2", "-std=c11", "-shared", "-fPIC", f"-I{sysconfig.get_paths()['include']}", f"-I{_c_folder()}"]
    sources = [_ROOT / "src" / "consentd" / "_c_reader.c", _c_folder() / "consent_reader.c"]
    try:
        subprocess.run([*compiler, *options, "-o", target, *sources], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        print(f"consentd: without the C reader, as it cannot be compiled: {said[0] if said else error}", file=sys.stderr)
        return None
    return target


def build_wheel(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    project = _project()
    stem = f"{project['name']}-{project['version']}"
    info = f"{stem}.dist-info"
    sources = _ROOT / "src"
    files = {
        path.relative_to(sources).as_posix(): path.read_bytes()
        for path in sorted(sources.rglob("*"))
        if path.is_file() and path.suffix in (".py", ".pyi", ".typed")
    }
    tag, is_pure = _TAG, "true"
    with tempfile.TemporaryDirectory() as folder:
        if extension := build_extension(folder):
            files[f"consentd/{_EXTENSION}"] = extension.read_bytes()
            tag, is_pure = _TAG_WITH_EXTENSION, "false"
    files[f"{info}/METADATA"] = _metadata(project).encode()
    wheel_lines = ("Wheel-Version: 1.0", "Generator: consentd", f"Root-Is-Purelib: {is_pure}", f"Tag: {tag}", "")
    files[f"{info}/WHEEL"] = "\n".join(wheel_lines).encode()
    record = "\n".join([_record_line(name, data) for name, data in files.items()] + [f"{info}/RECORD,,", ""])
    name = f"{stem}-{tag}.whl"
    with zipfile.ZipFile(Path(wheel_directory) / name, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, data in files.items():
            wheel.writestr(path, data)
        wheel.writestr(f"{info}/RECORD", record)
    return name


def build_sdist(sdist_directory: str, config_settings: dict[str, Any] | None = None) -> str:
    project = _project()
    stem = f"{project['name']}-{project['version']}"
    name = f"{stem}.tar.gz"
    with tarfile.open(Path(sdist_directory) / name, "w:gz") as archive:
        for part in ("pyproject.toml", "README.md", "sample.py", "packaging", "src", "tests"):
            archive.add(_ROOT / part, f"{stem}/{part}", filter=_without_caches)
        for source in _C_SOURCES:
            archive.add(_c_folder() / source, f"{stem}/packaging/c/{source}")
    return name


def _without_caches(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in entry.name else entry
