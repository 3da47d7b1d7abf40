"""TensorFlow Serving's REST interface, through Python's standard library."""

import base64
import binascii
import http.client
import json
import urllib.error
import urllib.request

from tfvae.settings import UserError

_LONGEST = 500  # Letters of a server's message that are shown.


class Rest:
    """One model of one server; see `remote.connect`."""

    def __init__(self, server, name, version, timeout):
        versions = f"/versions/{version}" if version else ""
        self._url = f"{server.rstrip('/')}/v1/models/{name}{versions}:predict"
        self._timeout = timeout

    def call(self, signature, output, **inputs):
        """Calls a signature and returns one of its outputs.

        Args:
            signature: The signature's name.
            output: The output's name.
            **inputs: Lists with one row an image, under the signature's names; bytes objects for image files.

        Returns:
            A list with one row an image: nested lists of numbers, or bytes objects where the output is image files.

        Raises:
            UserError: If the server cannot be reached in time or refuses the request; the message has the URL.
        """
        columns = {name: _to_json(value) for name, value in inputs.items()}
        answer = self._post({"signature_name": signature, "inputs": columns})
        try:
            outputs = answer["outputs"]
            # Where a signature has one output, the server leaves its name out.
            return _from_json(outputs[output] if isinstance(outputs, dict) else outputs)
        except (KeyError, TypeError, binascii.Error):
            raise UserError(f"{self._url}: expected an answer with {output!r}, got {one_line(str(answer))}") from None

    def _post(self, body):
        contents, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(self._url, contents, headers)
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise UserError(f"{self._url}: {error.code} {error.reason}: {_refusal(error.read())}") from None
        except (TimeoutError, urllib.error.URLError) as error:
            if isinstance(error, TimeoutError) or isinstance(error.reason, TimeoutError):
                raise UserError(f"{self._url}: no answer within --timeout={self._timeout:g} seconds.") from None
            raise UserError(f"{self._url}: cannot be reached: {error.reason}.") from None
        except (OSError, http.client.HTTPException) as error:
            raise UserError(f"{self._url}: the connection broke: {error or type(error).__name__}.") from None
        except ValueError:
            raise UserError(f"{self._url}: expected JSON, got something else; is this TensorFlow Serving?") from None


def _to_json(value):
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    value = value.tolist() if hasattr(value, "tolist") else value  # Of NumPy, which is not needed here.
    return [_to_json(one) for one in value] if isinstance(value, list | tuple) else value


def _from_json(value):
    if isinstance(value, list):
        return [_from_json(one) for one in value]
    return base64.b64decode(value["b64"], validate=True) if isinstance(value, dict) else value


def one_line(text):
    """Returns `text` on one line, without the graph's nodes that TensorFlow appends, and cut where it is long."""
    text = " ".join(text.split("[[{{")[0].split())
    if text.startswith("assertion failed: [") and text.endswith("]"):
        text = text[len("assertion failed: [") : -1]
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."


def _refusal(contents):
    """Returns what a server says of a refusal: the value of "error", or the text as it is."""
    try:
        return one_line(str(json.loads(contents)["error"]))
    except (ValueError, KeyError, TypeError):
        return one_line(contents.decode("utf-8", "replace")) or "no reason given"
