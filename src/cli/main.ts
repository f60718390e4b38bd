#!/usr/bin/env node
/** Where does the `stillmotion` command start? Here, with a check that Node is new enough for everything that follows. */

const needed = [22, 12];
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

if (major > needed[0]! || (major === needed[0] && minor >= needed[1]!)) {
  const { surviveFailedWrites } = await import("./terminal.ts");
  const { surviveHangup } = await import("./hangup.ts");
  const { run } = await import("./run.ts");
  surviveFailedWrites();
  surviveHangup();
  process.exitCode = await run(process.argv.slice(2));
} else {
  process.stderr.write(
    `error: stillmotion needs Node ${needed.join(".")} or newer, this is ${process.versions.node}; ` +
      "install a newer one from https://nodejs.org\n",
  );
  process.exitCode = 1;
}
