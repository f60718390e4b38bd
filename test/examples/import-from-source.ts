/** Where do the examples find `stillmotion` in the tests? In `src`, so that no build is needed: `node --import` runs this first. */
import { registerHooks } from "node:module";

const source = new URL("../../src/index.ts", import.meta.url).href;

registerHooks({
  resolve: (specifier, context, next) => next(specifier === "stillmotion" ? source : specifier, context),
});
