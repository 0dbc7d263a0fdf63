// A Worker (any runtime with the Fetch API's module syntax) that lets only validly signed native URLs through to the gateway.
//
// Bindings: COUNTERMARK_KEYS, a secret of JSON such as {"k1": "43 characters of base64url"}; COUNTERMARK_AUDIENCE, the site;
// COUNTERMARK_MAX_LIFE, seconds as in keys.yaml. The gateway verifies again: the edge only keeps the crowd away from it.

import { importKeys, verify } from "./native.mjs";

let imported;

export default {
  async fetch(request, env) {
    imported ??= importKeys(JSON.parse(env.COUNTERMARK_KEYS));
    const url = new URL(request.url);
    const verdict = await verify(
      {
        method: request.method,
        target: url.pathname + url.search,
        now: Math.floor(Date.now() / 1000),
        address: request.headers.get("CF-Connecting-IP") ?? "",
        country: countryOf(request),
      },
      { audience: env.COUNTERMARK_AUDIENCE, keys: await imported, maxLife: Number(env.COUNTERMARK_MAX_LIFE) },
    );
    if (verdict.allowed) return fetch(request);
    const headers = { "Countermark-Reason": verdict.reason, "Cache-Control": "no-store" };
    return new Response(null, { status: verdict.status, headers });
  },
};

function countryOf(request) {
  const country = request.cf?.country ?? "";
  // XX says that nobody knows; a URL that is bound to it must not open for everybody of whom that is said.
  return country === "XX" ? "" : country;
}
