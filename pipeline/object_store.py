"""A store in S3, or in anything that speaks like it: results by key, and leases by conditional put.

An object appears whole or not at all. Its SHA-256 travels with it as metadata.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.lease import Held

_SHA256 = "sha256"


class Bucket:
    """The results below a URL such as s3://bucket/prefix.

    The key of a result is its kind and file name, as in a folder. Credentials and the address of a
    server other than Amazon's come from where AWS's own programs take them: the environment, or
    ~/.aws.

    Args:
        url: As runtime.store has it.

    Raises:
        PipelineError: The extra `s3` is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            from s3fs import S3FileSystem
        except ImportError:
            raise PipelineError(
                f"params.yaml: runtime.store: found {url}, which needs an extra: "
                "pip install 'surgical-phase-pipeline[s3]'."
            ) from None
        self.url = url.rstrip("/")
        self._root = self.url.removeprefix("s3://")
        with self._explained():
            self.files = S3FileSystem(use_listings_cache=False, skip_instance_cache=True)

    def sha256(self, path: Path) -> str | None:
        """The SHA-256 that a result was uploaded with; None where it is not here."""
        try:
            answer = self.call("head_object", self._key(path))
        except _Missing:
            return None
        return str(answer["Metadata"].get(_SHA256, ""))

    def fetch(self, path: Path, target: Path) -> None:
        """Download the result that belongs to a local path to another path."""
        with self._explained():
            self.files.get_file(self._key(path), str(target))

    def publish(self, path: Path, sha256: str) -> None:
        """Upload a result from its local path."""
        with self._explained():
            self.files.put_file(str(path), self._key(path), Metadata={_SHA256: sha256})

    def lease(self, path: Path) -> "LeaseObject":
        """Where the lease of a result lies."""
        return LeaseObject(self, f"{self._key(path)}.lease")

    def call(self, method: str, key: str, **arguments: Any) -> dict[str, Any]:
        """One request of S3 about an object, by the name that boto3 gives it."""
        bucket, name, _ = self.files.split_path(key)
        with self._explained():
            answer = self.files.call_s3(method, Bucket=bucket, Key=name, **arguments)
        return dict(answer)

    def read(self, key: str) -> tuple[str, dict[str, Any]] | None:
        """The text of a small object, and the answer that brought it."""
        from fsspec.asyn import sync

        try:
            answer = self.call("get_object", key)
        except _Missing:
            return None
        with self._explained():
            return sync(self.files.loop, answer["Body"].read).decode(), answer

    def _key(self, path: Path) -> str:
        return f"{self._root}/{path.parent.name}/{path.name}"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            NoCredentialsError,
            PartialCredentialsError,
        )

        where = f"params.yaml: runtime.store: {self.url}"
        kept = "What was finished is kept in .store, and the next run goes on from there."
        try:
            yield
        except (NoCredentialsError, PartialCredentialsError):
            raise PipelineError(
                f"{where}: no credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
                f"AWS_PROFILE. {kept}"
            ) from None
        except PermissionError as error:
            raise PipelineError(
                f"{where}: these credentials do not allow it ({error}). They must allow to get, "
                f"put and delete objects there. {kept}"
            ) from None
        except BotoCoreError as error:
            raise PipelineError(
                f"{where}: does not answer ({error}). AWS_ENDPOINT_URL names a server other than "
                f"Amazon's. {kept}"
            ) from None
        except FileNotFoundError as error:
            cause = error.__cause__
            code = cause.response["Error"]["Code"] if isinstance(cause, ClientError) else ""
            if code != "NoSuchBucket":
                raise _Missing from None
            raise PipelineError(f"{where}: there is no such bucket. Create it once.") from None
        except OSError as error:
            if not isinstance(error.__cause__, ClientError) or _condition_failed(error):
                raise
            raise PipelineError(f"{where}: the server says: {error}. {kept}") from None


class _Missing(Exception):
    """There is no such object."""


class LeaseObject:
    """A lease as an object beside the result. S3 itself puts only if nobody else has meanwhile.

    Args:
        bucket: Of the result.
        key: Of the lease.
    """

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket, self._key = bucket, key

    def create(self, text: str) -> bool:
        """As pipeline.lease.Place."""
        return self._put(text, IfNoneMatch="*")

    def read(self) -> Held | None:
        """As pipeline.lease.Place."""
        found = self._bucket.read(self._key)
        if found is None:
            return None
        text, answer = found
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        return Held(text, (now - answer["LastModified"]).total_seconds())

    def renew(self, text: str) -> None:
        """As pipeline.lease.Place."""
        self.replace(text, text)

    def replace(self, old: str, new: str) -> bool:
        """As pipeline.lease.Place."""
        found = self._bucket.read(self._key)
        if found is None or found[0] != old:
            return False
        return self._put(new, IfMatch=found[1]["ETag"])

    def remove(self, text: str) -> None:
        """As pipeline.lease.Place."""
        # Emptied first, because not every server deletes under a condition: an empty lease is
        # nobody's.
        with suppress(OSError, PipelineError):
            if self.replace(text, ""):
                self._bucket.call("delete_object", self._key)

    def _put(self, text: str, **condition: str) -> bool:
        try:
            self._bucket.call("put_object", self._key, Body=text.encode(), **condition)
        except _Missing:
            return False
        except OSError as error:
            if _condition_failed(error):
                return False
            raise
        return True


def _condition_failed(error: OSError) -> bool:
    cause = error.__cause__
    answer = getattr(cause, "response", {})
    # 409: two requests under a condition at the same moment.
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return isinstance(error, FileExistsError) or status in (409, 412)
