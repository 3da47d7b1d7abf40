from setuptools import find_packages, setup

SERVING = ["tensorflow-serving-api>=2.19"]

setup(
    name="tfvae",
    version="0.1.0",
    description="Variational autoencoders for your own images: trained on a laptop, served by TensorFlow Serving.",
    long_description=open("README.md", encoding="utf-8").read(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["tfvae", "tfvae.*"]),
    install_requires=[
        "absl-py>=2.1",
        "dicebear-core>=10.7,<11",  # Draws the avatars; another major version may draw others.
        "dicebear-styles>=10.6,<11",
        "filelock>=3.30",  # Locks on Windows, too; from 3.30 on it can tell where a file system has none.
        "importlib_resources",  # TensorFlow Datasets needs it for builders in packages, and does not say so.
        "keras>=3.12,<4",
        "matplotlib>=3.8",
        "numpy>=2.0",
        "pillow>=10.3",
        "psutil>=5.9",  # Whether a process still runs, on Windows, too, where os.kill(number, 0) would end it.
        "resvg-py>=0.5,<0.6",
        "scikit-learn>=1.5",  # The mixture of --sampler=mixture; classifiers of codes and neighbours for `evaluate`.
        "scipy>=1.11",
        "tensorboard>=2.20",
        "tensorflow>=2.21,<3",
        "tensorflow-datasets>=4.9.8",
        "tqdm>=4.66",
    ],
    extras_require={
        "serving": SERVING,
        "test": [*SERVING, "hypothesis>=6.100", "openvino>=2026.0", "pytest>=8", "pytest-xdist>=3.6", "ruff>=0.8"],
    },
)
