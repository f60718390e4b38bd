"""Does torch.compile work here? It needs a C++ compiler and Python's headers. Prints JSON: `{"problem": null}`, or why not."""

import json

import torch


def main() -> None:
    problem = None
    try:
        torch.compile(lambda x: torch.relu(x) + 1)(torch.ones(64))
    except Exception as error:  # whatever it is, the contestants that need the compiler cannot run
        problem = str(error).strip().split("\n")[0]
    print(json.dumps({"problem": problem}))


if __name__ == "__main__":
    main()
