// The native signature at a CDN's edge: WebCrypto only, no dependencies. The format is that of docs/architecture.md.
//
//   const keys = await importKeys({ k1: "43 characters of base64url" });
//   const verdict = await verify({ method, target, now, address, country }, { audience: "shop", keys, maxLife: 86400 });
//   verdict.allowed, verdict.reason, verdict.expires
//
// `target` is the raw path and query as they came; nothing of it is decoded before it is verified. `country` is the viewer's
// ISO 3166-1 alpha-2 code as the edge knows it, "" where it does not. HMAC-SHA-256 keys only.
//
// What an edge cannot know is left to the gateway: presets and operations, key dates, revocation. What opens one time only
// (once) or lives no longer than a session (sid) is refused as `ask_the_gateway`: send such URLs past the edge.

const LONGEST = 8000;
const MOST_PAIRS = 64;
const ASK_THE_GATEWAY = ["sid", "once"];
// Facts that are texts, as they stand in a URL: what the gateway would refuse must not pass here.
const FACTS = {
  cid: /^[A-Za-z0-9._-]{1,64}$/,
  jti: /^[A-Za-z0-9_-]{8,64}$/,
  th: /^[A-Za-z0-9_-]{8,64}$/,
  geo: /^[A-Z]{2}(?:\.[A-Z]{2}){0,249}$/,
};
const LONGEST_TEXT = 128;
const AHEAD = 60; // seconds that an issuer's clock may be ahead of ours
const BYTE = "(?:[A-Za-z0-9._~-]|%(?:2[0-9A-CF]|3[A-F]|40|5[B-E]|60|7[B-D]|[89A-F][0-9A-F]))";
const CANONICAL_PAIR = new RegExp(`^${BYTE}+=${BYTE}*$`);
const PATH = /^\/[!-~]*$/;
const BROKEN_PATH = /[\\#?]|%(?![0-9A-Fa-f]{2})|%(?:[01][0-9A-Fa-f]|7[Ff]|2[Ff]|5[Cc])/;
const TEN_DIGITS = /^[1-9][0-9]{9}$/;
const SIGNATURE = /^[A-Za-z0-9_-]{43}$/;

/** Secrets by key id, as keys.yaml has them, made ready for `verify`. */
export async function importKeys(secrets) {
  const keys = new Map();
  for (const [id, secret] of Object.entries(secrets)) {
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    keys.set(id, await crypto.subtle.importKey("raw", fromBase64url(secret), algorithm, false, ["verify"]));
  }
  return keys;
}

/** Whether a request may be answered: { allowed, status, reason, expires }. `now` is in unix seconds. */
export async function verify({ method, target, now, address, country }, { audience, keys, maxLife }) {
  if (method !== "GET" && method !== "HEAD") return refused(405, "method_not_allowed");
  const mark = target.indexOf("?");
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? "" : target.slice(mark + 1);
  if (target.length > LONGEST || !cleanPath(path)) return refused(400, "target_malformed");

  const raw = query.split("&");
  const pairs = new Map();
  for (const pair of raw) {
    const cut = pair.indexOf("=");
    const name = decoded(cut < 0 ? pair : pair.slice(0, cut));
    // The same name twice would leave open which of them a later reader obeys.
    if (name === null || pairs.has(name)) return refused(400, "target_malformed");
    pairs.set(name, cut < 0 ? "" : pair.slice(cut + 1));
  }
  if (!pairs.has("sig")) return refused(401, "signature_missing");
  // One spelling a URL, so that caches and revocation know it again.
  if (raw.length > MOST_PAIRS || !raw.every((pair) => CANONICAL_PAIR.test(pair))) return refused(400, "target_malformed");
  if (![...pairs.values()].every((value) => decoded(value) !== null)) return refused(400, "target_malformed");

  if (!wellDated(pairs) || !wellBound(pairs)) return refused(400, "parameter_invalid");
  const expires = pairs.get("exp");
  const notBefore = pairs.get("nbf");
  const key = keys.get(pairs.get("kid"));
  const signature = pairs.get("sig");
  if (key === undefined || !SIGNATURE.test(signature)) return refused(403, "signature_invalid");
  const signed = raw.filter((pair) => !pair.startsWith("sig=")).sort().join("&");
  const message = new TextEncoder().encode(`countermark-v1\nread\n${audience}\n${path}\n${signed}`);
  const bytes = fromBase64url(signature);
  // 43 characters hold two bits more than 32 bytes: only one spelling of them counts.
  if (toBase64url(bytes) !== signature || !(await crypto.subtle.verify("HMAC", key, bytes, message))) {
    return refused(403, "signature_invalid");
  }

  if (notBefore !== undefined && now < Number(notBefore)) return refused(403, "not_yet_valid");
  if (now > Number(expires)) return refused(410, "expired");
  if (Number(expires) - now > maxLife) return refused(403, "lifetime_exceeded");
  if (pairs.has("iat") && Number(pairs.get("iat")) > now + AHEAD) return refused(403, "not_yet_valid");
  const bound = pairs.get("ip");
  // Single addresses in one spelling; a network that cannot be judged here opens nothing here.
  if (bound !== undefined && decoded(bound) !== address) return refused(403, "address_mismatch");
  // An unknown country is none of those that are named.
  if (pairs.has("geo") && !pairs.get("geo").split(".").includes(country)) return refused(403, "country_mismatch");
  // Whether it was used or its session has ended stands in the gateway's store.
  if (ASK_THE_GATEWAY.some((name) => pairs.has(name))) return refused(403, "ask_the_gateway");
  return { allowed: true, status: 200, reason: "", expires: Number(expires) };
}

function refused(status, reason) {
  return { allowed: false, status, reason, expires: 0 };
}

function wellDated(pairs) {
  const expires = pairs.get("exp");
  const [notBefore, issued] = [pairs.get("nbf"), pairs.get("iat")];
  if (!TEN_DIGITS.test(expires)) return false;
  if (notBefore !== undefined && !(TEN_DIGITS.test(notBefore) && notBefore < expires)) return false;
  return issued === undefined || (TEN_DIGITS.test(issued) && issued <= expires);
}

function wellBound(pairs) {
  if (pairs.has("th") && !pairs.get("preset")) return false;
  if (!Object.entries(FACTS).every(([name, pattern]) => !pairs.has(name) || pattern.test(pairs.get(name)))) return false;
  const codes = pairs.get("geo")?.split(".") ?? [];
  // One spelling a list, for the same reason as for the whole query.
  if (!codes.every((code, at) => at === 0 || codes[at - 1] < code)) return false;
  return ["uid", "ctx"].every((name) => !pairs.has(name) || shortText(pairs.get(name)));
}

function shortText(raw) {
  // In characters as the gateway counts them, not in UTF-16's units.
  const length = [...decoded(raw)].length;
  return length > 0 && length <= LONGEST_TEXT;
}

function cleanPath(path) {
  if (!PATH.test(path) || path.startsWith("//") || BROKEN_PATH.test(path)) return false;
  const segments = decoded(path)?.split("/").slice(1);
  if (segments === undefined || segments.includes(".") || segments.includes("..")) return false;
  return path === "/" || !segments.includes("");
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

function fromBase64url(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
}

function toBase64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
