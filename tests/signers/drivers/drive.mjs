// Signs the vectors of a file with the JavaScript signer: `drive.mjs SIGNER VECTORS` prints a JSON list of URLs and
// refusals.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [signer, vectors] = process.argv.slice(2);
const { Signer } = await import(pathToFileURL(signer).href);
const document = JSON.parse(readFileSync(vectors, "utf8"));

async function signed({ key, audience, base, path, operations, options }) {
  const { kid, secret, private_key: privateKey } = document.keys[key];
  const { not_before: notBefore, transform_hash: transformHash, ...same } = options;
  try {
    const made = new Signer({ kid, secret, privateKey, audience, base });
    return { url: await made.url(path, operations, { ...same, notBefore, transformHash }) };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { refused: error.message };
  }
}

console.log(JSON.stringify(await Promise.all(document.vectors.map(signed))));
