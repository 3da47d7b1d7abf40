"""A model that a server holds, called over the network: TensorFlow Serving's REST interface, or gRPC.

    remote = tfvae.remote.connect("http://localhost:8501", "avatars")
    face = pathlib.Path("face.png").read_bytes()
    files = remote.call("reconstruct_bytes", "reconstruction_bytes", image_bytes=[face])

No TensorFlow is imported for REST, and no package beyond Python's own.
"""

from tfvae.remote.rest import Rest

__all__ = ["connect"]


def connect(server, name, version=0, timeout=60.0):
    """Returns an object whose `call(signature, output, **inputs)` asks a server; nothing is sent before that.

    Args:
        server: "http://HOST:PORT" or "https://HOST:PORT" for REST, "grpc://HOST:PORT" for gRPC.
        name: The model's name on the server.
        version: The model's version; 0 for the newest that is served.
        timeout: Longest wait for the next sign of an answer, in seconds.

    Raises:
        UserError: For gRPC, if tensorflow-serving-api is not installed.
    """
    if server.startswith("grpc://"):
        from tfvae.remote.rpc import Rpc  # Here: it needs TensorFlow, which takes seconds.

        return Rpc(server, name, version, timeout)
    return Rest(server, name, version, timeout)
