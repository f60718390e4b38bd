/** What are the layers of a ResNet block called in the original layout? generative-models sgm/modules/diffusionmodules/openaimodel.py `ResBlock`. */

const layers: Readonly<Record<string, string>> = {
  "in_layers.0": "norm1",
  "in_layers.2": "conv1",
  "emb_layers.1": "time_emb_proj",
  "out_layers.0": "norm2",
  "out_layers.3": "conv2",
  skip_connection: "conv_shortcut",
};

/** `in_layers.0.weight` -> `norm1.weight`; an unknown name stays as it is. */
export function resnetName(name: string): string {
  return renamedStart(name, layers);
}

/** The most steps that a start in the tables has. A hostile name may have millions. */
const mostSteps = 4;

/** The name with its start replaced by a table of starts, which are whole steps; the longest one that fits counts. */
export function renamedStart(name: string, table: Readonly<Record<string, string>>): string {
  const steps = name.split(".");
  for (let count = Math.min(steps.length, mostSteps); count > 0; count--) {
    const start = steps.slice(0, count).join(".");
    if (Object.hasOwn(table, start)) return [table[start]!, ...steps.slice(count)].join(".");
  }
  return name;
}
