/** Which .safetensors files are hostile or broken? By name, with what the reader must say. */
import { encodeSafetensors } from "../../src/weights/safetensors/safetensors.ts";

export interface HostileFile {
  readonly bytes: Uint8Array;
  readonly code: "invalid-checkpoint" | "unsupported";
  readonly message: string;
}

/** A file from the text or bytes of its header, and its data. */
export function safetensorsFile(header: string | Uint8Array, dataBytes = 0): Uint8Array {
  const json = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

const tensor = (start: number, end: number, count = (end - start) / 4) =>
  `{"dtype":"F32","shape":[${count}],"data_offsets":[${start},${end}]}`;
const one = (fields: string) => safetensorsFile(`{"a":{${fields}}}`, 4);
const text = (content: string) => new TextEncoder().encode(content);
const valid = encodeSafetensors({ a: { dtype: "float32", shape: [2], data: new Float32Array(2) } });
const knownDtypes =
  "BOOL, F4, F6_E2M3, F6_E3M2, U8, I8, F8_E5M2, F8_E4M3, F8_E8M0, F8_E4M3FNUZ, F8_E5M2FNUZ, I16, U16, F16, BF16, I32, U32, " +
  "F32, C64, F64, I64, U64";

function refused(bytes: Uint8Array, message: string): HostileFile {
  return { bytes, code: "invalid-checkpoint", message };
}

/** What a header says that breaks at this column. */
const badJson = (column: number, problem: string) =>
  `x: header: cannot be read at line 1, column ${column}: ${problem}`;
const pickled =
  "x: pickle weights (.bin, .ckpt, .pt) are not read, since they can run code when opened; get the checkpoint's .safetensors files instead";

/** All messages are those for a file called `x`. */
export const hostileFiles: Readonly<Record<string, HostileFile>> = {
  "empty-file": refused(new Uint8Array(0), "x: is empty: is this half a download?"),
  "seven-bytes": refused(
    valid.slice(0, 7),
    "x: is 7 bytes long, too short for a .safetensors file: is this half a download?",
  ),
  "truncated-header": refused(
    valid.slice(0, 40),
    "x: is 40 bytes long, its header promises at least 64: is this half a download?",
  ),
  "truncated-data": refused(
    valid.slice(0, -3),
    "x: is 69 bytes long, its header promises 72: is this half a download?",
  ),
  "bytes-after-the-end": refused(
    new Uint8Array([...valid, 0]),
    "x: is 73 bytes long, but its last tensor ends at byte 72: is this another file's data?",
  ),
  "header-length-beyond-the-cap": refused(
    new Uint8Array([0x41, 0x78, 0x7d, 0x01, 0, 0, 0, 0, 0x7b, 0x7d]),
    "x: is not a .safetensors file: it announces a header of 25000001 bytes, at most 25000000 are read",
  ),
  "header-length-of-all-ones": refused(
    new Uint8Array(16).fill(0xff),
    "x: is not a .safetensors file: it announces a header of 18446744073709551615 bytes, at most 25000000 are read",
  ),
  "header-of-no-bytes": refused(safetensorsFile(""), "x: its header is empty"),
  "header-of-spaces": refused(
    safetensorsFile("    "),
    'x: is not a .safetensors file: its header does not start with "{"',
  ),
  "header-after-a-space": refused(
    safetensorsFile(" {}"),
    'x: is not a .safetensors file: its header does not start with "{"',
  ),
  "header-after-a-byte-order-mark": refused(
    safetensorsFile("\ufeff{}"),
    'x: is not a .safetensors file: its header does not start with "{"',
  ),
  "header-is-an-array": refused(
    safetensorsFile("[]"),
    'x: is not a .safetensors file: its header does not start with "{"',
  ),
  "header-cut-short": refused(safetensorsFile('{"a":'), badJson(6, 'expected "{" but found the end')),
  "header-with-zero-padding": refused(safetensorsFile("{}\0\0"), badJson(3, 'expected the end but found "<00>"')),
  "two-objects": refused(safetensorsFile("{}{}"), badJson(3, 'expected the end but found "{}"')),
  "trailing-comma": refused(
    safetensorsFile(`{"a":${tensor(0, 4)},}`, 4),
    badJson(55, 'expected a name in quotes but found "}"'),
  ),
  "single-quotes": refused(safetensorsFile("{'a':1}"), badJson(2, "expected a name in quotes but found \"'a':1}\"")),
  "name-without-end": refused(safetensorsFile('{"abc'), badJson(2, "the string that starts here has no end")),
  "name-not-utf-8": refused(
    safetensorsFile(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x7b, 0x7d, 0x7d])),
    badJson(3, "the text is not valid UTF-8"),
  ),
  "name-of-half-a-surrogate": refused(
    safetensorsFile(`{"\\ud800":${tensor(0, 4)}}`, 4),
    badJson(2, "the string that starts here holds half of a surrogate pair"),
  ),
  "name-with-a-control-character": refused(
    safetensorsFile(`{"\u0001":${tensor(0, 4)}}`, 4),
    badJson(3, "a string holds a control character"),
  ),
  "name-with-a-bad-escape": refused(
    safetensorsFile(`{"\\x41":${tensor(0, 4)}}`, 4),
    badJson(2, "the string that starts here has an escape that JSON does not know"),
  ),
  "name-with-a-short-escape": refused(
    safetensorsFile(`{"\\u00":1}`),
    badJson(2, "the string that starts here has an escape that JSON does not know"),
  ),
  "names-given-twice": refused(
    safetensorsFile(`{"a":${tensor(0, 4)},"a":${tensor(0, 4)}}`, 4),
    "x: its header names the tensor a twice",
  ),
  "names-given-twice-by-an-escape": refused(
    safetensorsFile(`{"a":${tensor(0, 4)},"\\u0061":${tensor(4, 8)}}`, 8),
    "x: its header names the tensor a twice",
  ),
  "metadata-given-twice": refused(
    safetensorsFile('{"__metadata__":{},"__metadata__":{}}'),
    badJson(35, "__metadata__ is given twice"),
  ),
  "metadata-key-given-twice": refused(
    safetensorsFile('{"__metadata__":{"a":"1","a":"2"}}'),
    badJson(30, "__metadata__ has a twice"),
  ),
  "metadata-with-a-number": refused(
    safetensorsFile('{"__metadata__":{"a":1}}'),
    badJson(22, 'expected a string but found "1}}"'),
  ),
  "metadata-with-too-many-texts": refused(
    safetensorsFile(`{"__metadata__":{${Array.from({ length: 2049 }, (_, i) => `"${i}":""`).join()}}}`),
    badJson(19_395, "more than 2048 texts in __metadata__"),
  ),
  "metadata-null": refused(safetensorsFile('{"__metadata__":null}'), badJson(17, 'expected "{" but found "null}"')),
  "tensors-too-many": refused(
    safetensorsFile(
      `{${Array.from({ length: 65_537 }, (_, i) => `"${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`).join()}}`,
    ),
    "x: its header names more than 65536 tensors",
  ),
  "deep-nesting": refused(
    safetensorsFile(`{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`),
    badJson(6, 'expected "{" but found "[[[[[[[[[[[["'),
  ),
  "deep-shape": refused(
    one(`"dtype":"F32","shape":${"[".repeat(100_000)}`),
    badJson(30, 'expected a whole number of 0 or more but found "[[[[[[[[[[[["'),
  ),
  "entry-as-array": refused(safetensorsFile('{"a":["F32",[1],[0,4]]}', 4), badJson(6, 'expected "{" but found ["F32"')),
  "no-dtype": refused(one('"shape":[1],"data_offsets":[0,4]'), "x: a has no dtype in the header"),
  "no-shape": refused(one('"dtype":"F32","data_offsets":[0,4]'), "x: a has no shape in the header"),
  "no-offsets": refused(one('"dtype":"F32","shape":[1]'), "x: a has no data_offsets in the header"),
  "field-given-twice": refused(
    one('"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]'),
    badJson(29, "a has the field dtype, twice"),
  ),
  "field-unknown": refused(
    one('"dtype":"F32","shape":[1],"data_offsets":[0,4],"stride":[1]'),
    badJson(63, "a has the field stride, which the format does not have"),
  ),
  "dtype-unknown": refused(
    one('"dtype":"F31","shape":[1],"data_offsets":[0,4]'),
    `x: a has dtype F31, expected one of ${knownDtypes}`,
  ),
  "dtype-of-every-object": refused(
    one('"dtype":"constructor","shape":[1],"data_offsets":[0,4]'),
    `x: a has dtype constructor, expected one of ${knownDtypes}`,
  ),
  "dtype-with-terminal-codes": refused(
    one('"dtype":"\\u001b[2J","shape":[1],"data_offsets":[0,4]'),
    `x: a has dtype \\u{1b}[2J, expected one of ${knownDtypes}`,
  ),
  "shape-negative": refused(
    one('"dtype":"F32","shape":[-1],"data_offsets":[0,4]'),
    badJson(30, 'expected a whole number of 0 or more but found "-1]"'),
  ),
  "shape-fraction": refused(
    one('"dtype":"F32","shape":[1.0],"data_offsets":[0,4]'),
    badJson(30, 'expected a whole number of 0 or more but found "1.0]"'),
  ),
  "shape-exponent": refused(
    one('"dtype":"F32","shape":[1e0],"data_offsets":[0,4]'),
    badJson(30, 'expected a whole number of 0 or more but found "1e0]"'),
  ),
  "shape-leading-zero": refused(
    one('"dtype":"F32","shape":[01],"data_offsets":[0,4]'),
    badJson(30, 'expected a whole number of 0 or more but found "01]"'),
  ),
  "shape-beyond-2-to-53": refused(
    one('"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,4]'),
    badJson(30, "a number is above 2^53, more than any file holds"),
  ),
  "shape-with-a-number-of-a-million-digits": refused(
    one(`"dtype":"F32","shape":[${"9".repeat(1_000_000)}],"data_offsets":[0,4]`),
    badJson(30, "a number is above 2^53, more than any file holds"),
  ),
  "shape-product-wraps-at-2-to-64": refused(
    one('"dtype":"F32","shape":[4294967296,4294967296,1],"data_offsets":[0,4]'),
    "x: a of dtype F32 and shape [4294967296, 4294967296, 1] is larger than any file",
  ),
  "shape-with-a-million-axes": refused(
    one(`"dtype":"F32","shape":[${"1,".repeat(999_999)}1],"data_offsets":[0,4]`),
    badJson(62, "more than 16 numbers in an array"),
  ),
  "shape-does-not-fit-offsets": refused(
    one('"dtype":"F32","shape":[2],"data_offsets":[0,4]'),
    "x: a of dtype F32 and shape [2] needs 8 bytes, its data_offsets [0, 4] hold 4",
  ),
  "half-a-byte": refused(
    safetensorsFile('{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}', 2),
    "x: a of dtype F4 and shape [3] does not fill whole bytes",
  ),
  "offsets-backwards": refused(
    one('"dtype":"F32","shape":[1],"data_offsets":[4,0]'),
    "x: a has data_offsets [4, 0], which end before they start",
  ),
  "offsets-three": refused(
    one('"dtype":"F32","shape":[1],"data_offsets":[0,4,4]'),
    "x: a has 3 data_offsets, expected a start and an end",
  ),
  "offsets-minus-zero": refused(
    one('"dtype":"F32","shape":[1],"data_offsets":[-0,4]'),
    badJson(49, 'expected a whole number of 0 or more but found "-0"'),
  ),
  "offsets-beyond-the-file": refused(
    safetensorsFile(`{"a":${tensor(0, 4e9)}}`, 4),
    "x: is 84 bytes long, its header promises 4000000080: is this half a download?",
  ),
  "offsets-overlap": refused(
    safetensorsFile(`{"a":${tensor(0, 8)},"b":${tensor(4, 12)}}`, 12),
    "x: b overlaps the tensor before it: its data start at 4, expected 8",
  ),
  "offsets-shared": refused(
    safetensorsFile(`{"a":${tensor(0, 8)},"b":${tensor(0, 8)}}`, 8),
    "x: b overlaps the tensor before it: its data start at 0, expected 8",
  ),
  "offsets-with-a-hole": refused(
    safetensorsFile(`{"a":${tensor(0, 4)},"b":${tensor(8, 12)}}`, 12),
    "x: b leaves a hole before it: its data start at 8, expected 4",
  ),
  "offsets-with-a-hole-at-the-start": refused(
    safetensorsFile(`{"a":${tensor(4, 8)}}`, 8),
    "x: a leaves a hole before it: its data start at 4, expected 0",
  ),
  "empty-tensor-inside-another": refused(
    safetensorsFile(`{"a":${tensor(0, 8)},"b":${tensor(4, 4)}}`, 8),
    "x: b overlaps the tensor before it: its data start at 4, expected 8",
  ),
  "pickle-of-torch": {
    bytes: text("PK\u0003\u0004\0\0\b\b\0\0\0\0\0\0"),
    code: "unsupported",
    message: pickled,
  },
  "pickle-bare": {
    bytes: new Uint8Array([0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20]),
    code: "unsupported",
    message: pickled,
  },
  "pickle-of-five-bytes": {
    bytes: new Uint8Array([0x80, 0x02, 0x4e, 0x71, 0x2e]),
    code: "unsupported",
    message: pickled,
  },
  "gguf-model": {
    bytes: text("GGUF\u0003\0\0\0\0\0\0\0\0\0\0\0"),
    code: "unsupported",
    message: "x: is a GGUF file; use the checkpoint's .safetensors files",
  },
  "git-lfs-pointer": refused(
    text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 3046000000\n"),
    "x: is a git-lfs pointer, not the weights themselves: run `git lfs pull` in its repository",
  ),
  "web-page": refused(
    text("<!DOCTYPE html><html><head><title>Sign in</title></head></html>"),
    "x: is a web page, not weights: download the file itself, not the page that shows it",
  ),
};
