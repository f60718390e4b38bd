"""What does the official safetensors reader say of hostile files: those kept by name, and a corpus of mutated headers?"""

import base64
import gzip
import json
import random
import subprocess
import tempfile
from pathlib import Path

import safetensors

from .files import TEST_FOLDER, VERSIONS, seed_of

FOLDER = TEST_FOLDER / "hostile"
FILES = 4000

# Sizes of an element in bytes.
DTYPES = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "C64": 8}
NAMES = ["a", "conv_in.weight", "", "__proto__", "ü", "☃", "😀", "a b", "\x7f", "\\", '"', "\n", "lora_unet_x.alpha", "dtype"]
# What a byte is likely to be exchanged for.
BYTES = b'{}[]",:\\0129-.eEu \t\n\xff\xc3\x80'


def make() -> None:
    (FOLDER / "golden").mkdir(exist_ok=True)
    recipe = {"recipe": "python -m reference.golden hostile", "safetensors": VERSIONS["safetensors"]}
    write("named.json", json.dumps(recipe | {"official": named_verdicts()}, indent=0).encode() + b"\n")
    draw = random.Random(seed_of("hostile"))
    mutated = [mutate(file_of(draw), draw) for _ in range(FILES)]
    files = [{"bytes": base64.b64encode(data).decode(), "official": read(data)} for data in dict.fromkeys(mutated)]
    lines = [json.dumps(recipe), *(json.dumps(file, sort_keys=True) for file in files)]
    write("mutated.jsonl.gz", gzip.compress("\n".join(lines).encode() + b"\n", 9, mtime=0))


def write(name: str, data: bytes) -> None:
    (FOLDER / "golden" / name).write_bytes(data)


def named_verdicts() -> dict[str, str]:
    """The files are written by the tests' own program, which needs Node."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npx", "node", str(FOLDER / "write-files.ts"), folder], check=True, cwd=TEST_FOLDER.parent)
        files = sorted(Path(folder).iterdir())
        return {file.name: "refuses" if read(file.read_bytes()) is None else "reads" for file in files}


def read(data: bytes) -> dict | None:
    """Its tensors and metadata, or None when the official reader refuses the file."""
    try:
        tensors = safetensors.deserialize(data)
    except safetensors.SafetensorError:
        return None
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        with safetensors.safe_open(file.name, framework="np") as opened:
            metadata = opened.metadata()
    # As lists: V8 13.6 (Node 24) confuses names with escapes, such as "\\n", when JSON has them as keys.
    return {
        "tensors": sorted(
            [name, tensor["dtype"], tensor["shape"], base64.b64encode(bytes(tensor["data"])).decode()]
            for name, tensor in tensors
        ),
        "metadata": sorted((metadata or {}).items()),
    }


def file_of(draw: random.Random) -> bytes:
    """A file that is almost as it should be: now and then a size, an order or a field is another."""
    names = draw.sample(NAMES, draw.randint(0, 4))
    entries, position, data = {}, 0, b""
    for name in names:
        dtype = draw.choice(list(DTYPES))
        shape = [draw.randint(0, 3) for _ in range(draw.randint(0, 3))]
        size = DTYPES[dtype]
        for length in shape:
            size *= length
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [position, position + size]}
        position += size
        data += draw.randbytes(size)
    if draw.random() < 0.4:
        entries["__metadata__"] = {key: draw.choice(NAMES) for key in draw.sample(NAMES, draw.randint(0, 2))}
    members = list(entries.items())
    draw.shuffle(members)
    header = member_text(members, draw)
    header += " " * draw.choice([0, 0, 0, 1, 7])
    text = header.encode("utf-8", "surrogatepass")
    return len(text).to_bytes(8, "little") + text + data


def member_text(members: list, draw: random.Random) -> str:
    texts = []
    for name, value in members:
        fields = list(value.items())
        draw.shuffle(fields)
        if fields and draw.random() < 0.03:
            fields.append((draw.choice(["stride", "dtype", "shape"]), draw.choice(["F32", [1], 0, None])))
        inside = ",".join(f"{text_of(key, draw)}:{text_of(field, draw)}" for key, field in fields)
        texts.append(f"{text_of(name, draw)}:{{{inside}}}")
    return "{" + ("," if draw.random() < 0.9 else " ,\n ").join(texts) + "}"


def text_of(value, draw: random.Random) -> str:
    return json.dumps(value, ensure_ascii=draw.random() < 0.5, separators=(",", ":"))


def mutate(data: bytes, draw: random.Random) -> bytes:
    """None to three changes of single bytes; then the length of the header is mostly made right again."""
    changed = bytearray(data)
    for _ in range(draw.choice([0, 0, 0, 1, 1, 1, 2, 3])):
        at = draw.randint(0 if draw.random() < 0.1 else min(8, len(changed)), len(changed))
        byte = draw.choice(BYTES) if draw.random() < 0.7 else draw.randrange(256)
        match draw.choice(["set", "insert", "delete", "copy"]):
            case "set" if at < len(changed):
                changed[at] = byte
            case "insert":
                changed.insert(at, byte)
            case "delete":
                del changed[at : at + draw.randint(1, 8)]
            case "copy":
                source = draw.randint(0, len(changed))
                changed[at:at] = changed[source : source + draw.randint(1, 40)]
    end = changed.rfind(b"}") + 1
    if end > 8 and draw.random() < 0.8:
        changed[:8] = (end - 8).to_bytes(8, "little")
    return bytes(changed)
